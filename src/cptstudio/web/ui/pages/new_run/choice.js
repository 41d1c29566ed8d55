/** A card to choose: a radio button or a box with a name, and what there is to know. */

import { h, useId } from "../../lib/preact.js";

/**
 * @param {{kind: "radio"|"checkbox", name?: string, id?: string, title: string, badges?: any, chosen: boolean,
 *   disabled?: boolean, invalid?: boolean, describedBy?: string, choose: (chosen: boolean) => void, children?: any,
 *   more?: any}} props
 * children: read with the name; more: controls of its own, once it is chosen
 */
export function Choice({ kind, name, id, title, badges, chosen, disabled, invalid, describedBy = "", choose, children,
  more }) {
  const own = useId();
  return h("div", { class: `choice${chosen ? " choice-chosen" : ""}${disabled ? " choice-off" : ""}` },
    h("label", { class: "choice-label" },
      h("input", { id, type: kind, name, checked: chosen, disabled, "aria-labelledby": `${own}-name`,
        "aria-describedby": `${own}-facts ${describedBy}`.trim(), "aria-invalid": invalid ? "true" : undefined,
        onChange: (/** @type {any} */ event) => choose(event.currentTarget.checked) }),
      h("span", { class: "choice-head" }, h("span", { class: "choice-name", id: `${own}-name` }, title), badges),
      h("span", { class: "choice-body", id: `${own}-facts` }, children)),
    more && h("div", { class: "choice-more" }, more));
}

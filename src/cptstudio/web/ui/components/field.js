import { h, useId } from "../lib/preact.js";

/**
 * A labelled control with its help and its problems.
 *
 * @param {{label: string, hint?: any, unit?: string, problems?: string[], inline?: boolean,
 *   control: (attributes: {id: string, "aria-describedby": string | undefined,
 *   "aria-invalid": "true" | undefined}) => any}} props
 *   control: makes the input with these attributes
 */
export function Field({ label, hint, unit, problems = [], inline, control }) {
  const id = useId();
  const describedBy = [hint && `${id}-hint`, problems.length && `${id}-problem`].filter(Boolean).join(" ");
  return h("div", { class: inline ? "field field-inline" : "field" },
    h("label", { for: id }, label, unit && h("span", { class: "field-unit" }, ` (${unit})`)),
    control({ id, "aria-describedby": describedBy || undefined, "aria-invalid": problems.length ? "true" : undefined }),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    problems.length > 0 &&
      h("div", { class: "field-problem", id: `${id}-problem` },
        problems.map((sentence) => h("p", { key: sentence }, sentence))));
}

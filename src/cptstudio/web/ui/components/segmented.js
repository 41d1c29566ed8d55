import { h, useId } from "../lib/preact.js";

/**
 * One choice of a few that are all in view; more than five belong into a `Select`.
 *
 * @param {{label: string, value: string, choices: readonly (readonly [string, any])[],
 *   onChoose: (value: string) => void, small?: boolean}} props label: read to screen readers; choices: value and words
 */
export function Segmented({ label, value, choices, onChoose, small }) {
  const name = useId();
  return h("fieldset", { class: small ? "segments segments-small" : "segments" },
    h("legend", { class: "visually-hidden" }, label),
    choices.map(([one, words]) => h("label", { key: one },
      h("input", { type: "radio", name, value: one, checked: value === one, onChange: () => onChoose(one) }), words)));
}

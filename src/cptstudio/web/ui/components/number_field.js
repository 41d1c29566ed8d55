/** A field for a number: what cannot be read as one is said at the field. */

import { h, useState, withValue } from "../lib/preact.js";
import { checkedNumber } from "../lib/typed_number.js";
import { Field } from "./elements.js";

/** @typedef {import("../lib/typed_number.js").Options & import("../lib/typed_number.js").Bounds} Limits */

/**
 * @param {{label: string, hint?: string, unit?: string, text: string, initial?: string, placeholder?: string,
 *   limits: Limits,
 *   id?: string, onText: (text: string) => void}} props
 * text: as it was typed; initial: shown where nothing was
 */
export function NumberField({ label, hint, unit, text, initial = "", placeholder, limits, onText }) {
  // Only while it is being typed in may the field be empty where there is an initial value.
  const [empty, setEmpty] = useState(false);
  const { number, problem } = checkedNumber(text, limits);
  const leave = () => {
    setEmpty(false);
    if (number !== null && Number(text) !== number) onText(String(number));
  };
  return h(Field, { label, unit, hint, problems: problem === "" ? [] : [problem],
    control: (attributes) => h("input", { ...attributes, type: "text", inputMode: limits.whole ? "numeric" : "decimal",
      autocomplete: "off", placeholder,
      value: text === "" && !empty ? initial : text,
      onInput: withValue((typed) => {
        setEmpty(typed === "");
        onText(typed);
      }),
      onBlur: leave }) });
}

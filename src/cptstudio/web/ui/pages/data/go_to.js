/** A field for the number that a list goes to. */

import { Button } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { h, useState, withValue } from "../../lib/preact.js";

/**
 * A number that a list goes to; shown and typed from 1.
 * @param {{label: string, most: number, go: (number: number) => void}} props most: the largest that may be typed
 */
export function GoTo({ label, most, go }) {
  const [text, setText] = useState("");
  const number = Number(text.replaceAll(/[\s,._]/g, ""));
  const usable = Number.isInteger(number) && number >= 1 && number <= most;
  const id = `go-${label.toLowerCase().replaceAll(" ", "-")}`;
  return h("form", { class: "go-to", onSubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    if (usable) go(number - 1);
  } },
    h("label", { for: id }, label),
    h("input", { id, type: "text", inputMode: "numeric", autocomplete: "off", value: text, size: 9,
      "aria-invalid": text !== "" && !usable ? "true" : undefined, "aria-describedby": `${id}-problem`,
      onInput: withValue(setText) }),
    h(Button, { type: "submit", small: true, disabled: !usable }, "Go"),
    h("span", { id: `${id}-problem`, class: "field-problem" },
      text !== "" && !usable ? `Use 1 to ${integer(most)}.` : ""));
}

/** The run's name. */

import { h, withValue } from "../../lib/preact.js";
import { nameProblem } from "../../lib/names.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** What is wrong with the name, as a sentence; "" where nothing is. @param {NewRunForm} form */
export function problemWithName(form) {
  const name = form.name.value;
  const wrong = nameProblem(name, "run");
  if (wrong !== "") return wrong;
  return form.takenNames.value.has(name) ? `A run named “${name}” already exists. Choose another name.` : "";
}

/** @param {{form: NewRunForm}} props */
export function RunName({ form }) {
  const problem = problemWithName(form);
  return h("div", { class: "field" },
    h("label", { for: "run-name" }, "Run name"),
    h("input", { id: "run-name", type: "text", autocomplete: "off", spellcheck: false, maxLength: 64,
      value: form.name.value, "aria-describedby": "run-name-help", "aria-invalid": problem === "" ? undefined : "true",
      onInput: withValue((text) => form.rename(text)) }),
    h("p", { id: "run-name-help", class: problem === "" ? "hint" : "field-problem" },
      problem || "Also the name of its folder in models/cpt/."));
}

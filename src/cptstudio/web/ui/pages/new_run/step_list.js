/** Where one is in the steps, what each holds so far, and the way to any of them. */

import { h } from "../../lib/preact.js";
import { Icon } from "../../components/elements.js";
import { shownValue } from "../../lib/format.js";
import { showStep } from "./go_to.js";
import { shownProblems, stillNeeded } from "./problems.js";
import { isComplete, stepOfSetting, STEPS } from "./steps.js";
import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./steps.js").StepId} StepId */

/** @param {{form: NewRunForm, step: StepId}} props */
export function StepList({ form, step }) {
  const wrong = new Set(shownProblems(form).map((one) => stepOfSetting(one.name)));
  return h("nav", { class: "step-list", "aria-label": "Steps" },
    h("ol", {}, STEPS.map(({ id, title }, index) => {
      const current = id === step;
      const done = (id === "model" || id === "data") && isComplete(id, form.values.value);
      const state = wrong.has(id) ? "wrong" : done ? "done" : "open";
      return h("li", { key: id, class: `step step-${state}` },
        h("button", { type: "button", "aria-current": current ? "step" : undefined, onClick: () => showStep(id) },
          h("span", { class: "step-number", "aria-hidden": "true" },
            state === "wrong" ? h(Icon, { name: "alert" }) : done ? h(Icon, { name: "check" }) : index + 1),
          h("span", { class: "step-words" },
            h("span", { class: "step-title" }, title),
            h("span", { class: "step-note" }, state === "wrong" ? "Needs attention" : noteOf(form, id)))));
    })));
}

/** What a step holds, in a few words. @param {NewRunForm} form @param {StepId} step */
function noteOf(form, step) {
  const values = form.values.value;
  if (step === "model") {
    return String(values["model.path"] ?? "").replace(/\/+$/, "").split("/").pop() || "Choose a model";
  }
  if (step === "data") {
    const names = corporaOf(values).map((use) => use.name).filter(Boolean);
    return names.length === 0 ? "Choose a corpus" : names.join(", ");
  }
  if (step === "training") return shownValue(form.resolved.value["length"] ?? values["length"] ?? "1 epochs");
  return stillNeeded(form).length > 0 ? "Plan and start" : form.name.value;
}

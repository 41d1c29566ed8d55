/** Leading to the control that a sentence is about, wherever it is. */

import { newRunView } from "../../lib/preferences.js";
import { route, setQuery } from "../../lib/router.js";
import { ALL_GROUPS } from "./advanced.js";
import { controlId } from "./problems.js";
import { stepOfSetting } from "./steps.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./steps.js").StepId} StepId */

/** Whether the form is shown step by step. */
export const inSteps = () => (route.value.query["view"] ?? newRunView.value) !== "all";

/** The setting that a field belongs to. @param {NewRunForm} form @param {string} field dotted */
export function settingOf(form, field) {
  if (field === "model" || field === "data") return form.byName.value.get(field === "model" ? "model.path"
    : "data.corpora");
  const parts = field.split(".");
  for (let length = parts.length; length > 0; length -= 1) {
    const found = form.byName.value.get(parts.slice(0, length).join("."));
    if (found) return found;
  }
  return undefined;
}

/** @param {StepId} step */
export function showStep(step) {
  setQuery({ step }, { push: true });
}

/**
 * Show the control of a field and give it the focus.
 * @param {NewRunForm} form @param {string} field dotted; "name" for the run's name
 */
export function goTo(form, field) {
  const setting = settingOf(form, field);
  if (setting !== undefined && !setting.basic) {
    form.openGroup(ALL_GROUPS, true);
    form.openGroup(setting.group, true);
  }
  const step = stepOfSetting(setting?.name ?? field);
  form.focusOn.value = { id: setting ? controlId(setting.name) : field === "name" ? "run-name" : `plan-${field}` };
  if (inSteps() && route.value.query["step"] !== step) showStep(step);
}

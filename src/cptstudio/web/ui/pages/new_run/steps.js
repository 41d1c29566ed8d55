/** The steps of a new run, and what belongs to each. */

import { corporaOf } from "./tree.js";

/** @typedef {import("./tree.js").Values} Values */
/** @typedef {"model"|"data"|"training"|"review"} StepId */

/** @type {readonly {id: StepId, title: string}[]} */
export const STEPS = [
  { id: "model", title: "Model" },
  { id: "data", title: "Data" },
  { id: "training", title: "Training" },
  { id: "review", title: "Review" },
];

/** Settings that are decided with the corpora, not with the training. */
const WITH_DATA = new Set(["data.corpora", "data.replay_share"]);

/** What is shown with the plan: no settings. */
const WITH_PLAN = new Set(["name", "machine", "warnings", "fit"]);

/** The step that holds the control of a setting, or of a field of one. @param {string} name dotted @returns {StepId} */
export function stepOfSetting(name) {
  if (name === "model" || name.startsWith("model.path")) return "model";
  if (name === "data" || [...WITH_DATA].some((one) => name === one || name.startsWith(`${one}.`))) return "data";
  if (WITH_PLAN.has(name)) return "review";
  return "training";
}

/** Whether what a step must have is chosen. @param {StepId} step @param {Values} values @returns {boolean} */
export function isComplete(step, values) {
  if (step === "model") return Boolean(values["model.path"]);
  if (step === "data") return corporaOf(values).some((use) => use.role === "domain");
  return isComplete("model", values) && isComplete("data", values);
}

/**
 * The step that is shown: the one that the address names, else the first one with something left to choose.
 * @param {string|undefined} named @param {Values} values @returns {StepId}
 */
export function shownStep(named, values) {
  const found = STEPS.find((step) => step.id === named);
  if (found) return found.id;
  return STEPS.find((step) => !isComplete(step.id, values))?.id ?? "training";
}

/** The step before or after; null beyond the ends. @param {StepId} step @param {1|-1} by @returns {StepId|null} */
export function neighbour(step, by) {
  return STEPS[STEPS.findIndex((one) => one.id === step) + by]?.id ?? null;
}

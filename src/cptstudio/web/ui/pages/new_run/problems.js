/** Which problems of a plan belong to which setting, and which are shown already. */

import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** Settings that speak for their whole group: what is wrong with the group is shown at them. */
const SPEAKERS = new Map([
  ["data", "data.corpora"],
  ["model", "model.path"],
]);

/** What the server says of a setting that was not given: `REQUIRED` of validation.py. */
const REQUIRED = "This is required.";

/**
 * The problems of one setting, those of its inner parts included.
 * @param {NewRunForm} form
 * @param {string} name dotted
 * @returns {string[]}
 */
export function problemsOf(form, name) {
  const fields = form.plan.value?.fields ?? {};
  if (!form.attempted.value && !form.chosen(name)) return [];
  return Object.entries(fields)
    .filter(([field]) => field === name || field.startsWith(`${name}.`) || SPEAKERS.get(field) === name)
    // What has been chosen is not missing; the plan that says so was asked for before.
    .flatMap(([field, sentences]) =>
      form.chosen(name) && !field.startsWith(`${name}.`) ? sentences.filter((sentence) => sentence !== REQUIRED) : sentences);
}

/**
 * All settings with problems that are shown, with the id of the control to go to.
 * @param {NewRunForm} form
 * @returns {{name: string, title: string, sentences: string[]}[]}
 */
export function shownProblems(form) {
  const found = [];
  for (const setting of form.settings.value ?? []) {
    const sentences = problemsOf(form, setting.name);
    if (sentences.length > 0) found.push({ name: setting.name, title: setting.title, sentences });
  }
  return found;
}

/**
 * Problems that belong to no setting of the form.
 * @param {NewRunForm} form
 * @returns {string[]}
 */
export function otherProblems(form) {
  const plan = form.plan.value;
  if (plan === null) return [];
  const placed = new Set();
  for (const setting of form.settings.value ?? []) {
    for (const [field, sentences] of Object.entries(plan.fields)) {
      const here = field === setting.name || field.startsWith(`${setting.name}.`) || SPEAKERS.get(field) === setting.name;
      if (here) for (const sentence of sentences) placed.add(sentence);
    }
  }
  const loose = Object.entries(plan.fields).flatMap(([, sentences]) => sentences);
  return [...new Set([...plan.problems, ...loose])].filter(
    (sentence) => ![...placed].some((known) => sentence.includes(known)),
  );
}

/**
 * What must be given before there can be a plan, as words for a sentence.
 * @param {NewRunForm} form
 * @returns {string[]}
 */
export function stillNeeded(form) {
  const needed = [];
  if (!form.chosen("model.path")) needed.push("a base model");
  if (!corporaOf(form.values.value).some((use) => use.name !== "")) needed.push("a corpus");
  return needed;
}

/** The id of a setting's control. @param {string} name */
export function controlId(name) {
  return `setting-${name.replaceAll(/[._]/g, "-")}`;
}

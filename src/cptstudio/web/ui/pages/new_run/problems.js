/** Which findings of a plan belong to which setting, and which are shown already. */

import { stepOfSetting } from "./steps.js";
import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./form.js").Finding} Finding */

/** Settings that speak for their whole group: what is wrong with the group is shown at them. */
const SPEAKERS = new Map([["data", "data.corpora"], ["model", "model.path"]]);

/** The field of the machine that is planned for, which is no setting. */
const MACHINE = "machine";

/** What is wrong with the machine. @param {NewRunForm} form @returns {string[]} */
export function machineProblems(form) {
  return (form.plan.value?.findings ?? []).filter((one) => one.field === MACHINE).map((one) => one.sentence);
}

/** @param {string} field @param {string} name of a setting, dotted */
const isAt = (field, name) => field === name || field.startsWith(`${name}.`) || SPEAKERS.get(field) === name;

/**
 * The problems of one setting, those of its inner parts included.
 * @param {NewRunForm} form
 * @param {string} name dotted
 * @returns {string[]}
 */
export function problemsOf(form, name) {
  const chosen = form.chosen(name);
  if (!form.attempted.value && !form.left.value.has(stepOfSetting(name)) && !chosen) return [];
  // What has been chosen is not missing; the plan that says so was asked for before.
  const old = (/** @type {Finding} */ one) => one.missing && chosen && !one.field.startsWith(`${name}.`);
  const found = (form.plan.value?.findings ?? []).filter((one) => isAt(one.field, name) && !old(one));
  return [...new Set(found.map((one) => one.sentence))];
}

/**
 * All settings with problems that are shown, with the id of the control to go to.
 * @param {NewRunForm} form @returns {{name: string, title: string, sentences: string[]}[]}
 */
export function shownProblems(form) {
  const found = [];
  for (const setting of form.settings.value ?? []) {
    const sentences = problemsOf(form, setting.name);
    if (sentences.length > 0) found.push({ name: setting.name, title: setting.title, sentences });
  }
  return found;
}

/** Problems that belong to no setting of the form. @param {NewRunForm} form @returns {string[]} */
export function otherProblems(form) {
  const settings = form.settings.value ?? [];
  const found = (form.plan.value?.findings ?? []).filter((one) =>
    one.field !== MACHINE && !settings.some(({ name }) => isAt(one.field, name)));
  return [...new Set(found.map((one) => (one.title === "" ? one.sentence : `${one.title}: ${one.sentence}`)))];
}

/**
 * What must be given before there can be a plan, as words for a sentence.
 * @param {NewRunForm} form @returns {string[]}
 */
export function stillNeeded(form) {
  const needed = [];
  if (!form.chosen("model.path")) needed.push("a base model");
  if (corporaOf(form.values.value).length === 0) needed.push("a corpus");
  return needed;
}

/** The id of a setting's control. @param {string} name */
export function controlId(name) {
  return `setting-${name.replaceAll(/[._]/g, "-")}`;
}

/**
 * The settings that differ from the defaults, by dotted name, and trees made of them.
 *
 * Only what the user chose is kept and sent, so that "chosen for you" stays the planner's choice.
 * The texts of number fields are sent as typed where they are no numbers: what a value must be is
 * said in one place, by the server.
 */

/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {{[name: string]: unknown}} Values */
/** @typedef {{name: string, role: string, weight: number|string}} CorpusUse */

/**
 * The tree of nested groups of these values.
 * @param {Values} values by dotted name
 * @returns {{[key: string]: unknown}}
 */
export function toTree(values) {
  /** @type {{[key: string]: unknown}} */
  const tree = {};
  for (const [name, value] of Object.entries(values)) {
    const parts = name.split(".");
    const last = /** @type {string} */ (parts.pop());
    let place = tree;
    for (const part of parts) place = /** @type {{[key: string]: unknown}} */ (place[part] ??= {});
    place[last] = value;
  }
  return tree;
}

/**
 * The values of a tree that differ from the defaults. Names that are no setting are kept: the
 * server says of them that there is no such setting.
 * @param {unknown} tree @param {readonly Setting[]} settings @returns {Values}
 */
export function fromTree(tree, settings) {
  const known = new Map(settings.map((setting) => [setting.name, setting]));
  const groups = new Set(settings.map((setting) => setting.group).filter(Boolean));
  /** @type {Values} */
  const values = {};
  collect(tree, "");
  return values;

  /** @param {unknown} node @param {string} prefix */
  function collect(node, prefix) {
    if (node === null || typeof node !== "object" || Array.isArray(node)) return;
    for (const [key, value] of Object.entries(node)) {
      const name = prefix + key;
      const setting = known.get(name);
      if (setting === undefined && groups.has(name)) collect(value, `${name}.`);
      else if (setting === undefined || !same(value, setting.initial)) values[name] = value;
    }
  }
}

/** Whether two plain values are equal. @param {unknown} one @param {unknown} other @returns {boolean} */
export function same(one, other) {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/**
 * A length taken apart: "2M tokens" gives the number as typed and the unit.
 * @param {unknown} value
 * @param {string} unit where the text names none
 * @returns {{amount: string, unit: string}}
 */
export function splitLength(value, unit = "epochs") {
  const text = typeof value === "string" ? value : "";
  const match = /^(.*?)\s*(steps?|tokens?|epochs?)$/i.exec(text.trim());
  if (match === null) return { amount: text.trim(), unit };
  const word = /** @type {string} */ (match[2]).toLowerCase();
  return { amount: /** @type {string} */ (match[1]), unit: word.endsWith("s") ? word : `${word}s` };
}

/** The corpora of a set of values. @param {Values} values @returns {CorpusUse[]} */
export function corporaOf(values) {
  const given = values["data.corpora"];
  if (!Array.isArray(given)) return [];
  return given.map((use) => ({
    name: String(use?.name ?? ""),
    role: String(use?.role ?? "domain"),
    weight: use?.weight ?? 1,
  }));
}

/**
 * A name for a run: the domain corpus, the model and the first free number.
 * @param {Values} values @param {ReadonlySet<string>} taken
 */
export function suggestName(values, taken) {
  const domain = corporaOf(values).find((use) => use.role === "domain" && use.name);
  const model = String(values["model.path"] ?? "").replace(/\/+$/, "").split("/").pop() ?? "";
  const stem = [domain?.name, model]
    .map((part) => (part ?? "").replaceAll(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, ""))
    .filter(Boolean)
    .map((part) => part.slice(0, 28))
    .join("-");
  const base = stem || "run";
  for (let number = 1; ; number += 1) {
    const name = `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

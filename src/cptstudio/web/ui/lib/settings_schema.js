/**
 * The settings as the form needs them, read from the JSON Schema of the settings tree.
 *
 * Titles, help, units, bounds and choices come from the schema alone. A setting that the schema
 * gains later gets a control here without a change.
 */

/** @typedef {"boolean"|"choice"|"integer"|"number"|"length"|"text"|"texts"|"corpora"} Kind */

/**
 * @typedef {object} Setting
 * @property {string} name dotted name in the tree
 * @property {string} group first part of the name, "" for a setting at the top
 * @property {string} heading of the group
 * @property {string} title
 * @property {string} help
 * @property {string} unit "" where there is none
 * @property {boolean} basic shown without opening "Advanced"
 * @property {Kind} kind
 * @property {boolean} automatic null is allowed and means "chosen for you"
 * @property {unknown} initial the value used when none is given
 * @property {readonly string[]} choices of kind "choice"
 * @property {import("./typed_number.js").Options & import("./typed_number.js").Bounds} limits of a number
 */

/** @typedef {{[key: string]: unknown}} Json */

/** A group's heading. @param {string} group @param {Json} titles those that are not the group's name */
const headingOf = (group, titles) =>
  String(titles[group] ?? group.charAt(0).toUpperCase() + group.slice(1).replaceAll("_", " "));

/** @param {unknown} value @returns {Json} */
function object(value) {
  return value !== null && typeof value === "object" ? /** @type {Json} */ (value) : {};
}

/** All single settings in the tree's order. @param {unknown} schema JSON Schema of the tree @returns {Setting[]} */
export function readSettings(schema) {
  const root = object(schema);
  const definitions = object(root["$defs"]);
  const titles = object(root["group_titles"]);
  /** @type {Setting[]} */
  const found = [];
  walk(root, "");
  return found;

  /** @param {Json} node @param {string} prefix */
  function walk(node, prefix) {
    const required = Array.isArray(node["required"]) ? node["required"] : [];
    for (const [key, value] of Object.entries(object(node["properties"]))) {
      const name = prefix + key;
      const property = { ...resolve(object(value)), ...usual(node, key) };
      if (property["type"] === "object" && property["properties"] !== undefined) {
        walk(property, `${name}.`);
      } else {
        found.push(setting(name, property, required.includes(key)));
      }
    }
  }

  /** @param {Json} node @returns {Json} */
  function resolve(node) {
    const all = node["allOf"];
    const reference = node["$ref"] ?? (Array.isArray(all) && all.length === 1 ? object(all[0])["$ref"] : undefined);
    if (typeof reference !== "string") return node;
    const { $ref, allOf, ...own } = node;
    return { ...object(definitions[reference.replace("#/$defs/", "")]), ...own };
  }

  /** @param {string} name @param {Json} property @param {boolean} required @returns {Setting} */
  function setting(name, property, required) {
    const options = Array.isArray(property["anyOf"]) ? property["anyOf"].map(object).map(resolve) : [property];
    const automatic = options.some((option) => option["type"] === "null");
    const value = options.find((option) => option["type"] !== "null") ?? property;
    const unit = typeof property["unit"] === "string" ? property["unit"] : "";
    const choices = Array.isArray(value["enum"]) ? value["enum"].map(String) : [];
    const group = name.includes(".") ? name.slice(0, name.indexOf(".")) : "";
    return {
      name,
      group,
      heading: headingOf(group, titles),
      title: String(property["title"] ?? name),
      help: String(property["description"] ?? ""),
      unit,
      basic: property["basic"] === true,
      kind: kindOf(value),
      automatic,
      initial: required ? undefined : plain(property["default"] ?? null),
      choices,
      limits: limitsOf(value, unit),
    };
  }

  /** @param {Json} value @returns {Kind} */
  function kindOf(value) {
    if (Array.isArray(value["enum"])) return "choice";
    switch (value["type"]) {
      case "boolean":
        return "boolean";
      case "integer":
        return "integer";
      case "number":
        return "number";
      case "array":
        return object(resolve(object(value["items"])))["properties"] === undefined ? "texts" : "corpora";
      default:
        return value["format"] === "length" ? "length" : "text";
    }
  }
}

/** A default as a tree holds it: a length is text there. @param {unknown} value @returns {unknown} */
function plain(value) {
  const { value: amount, unit } = object(value);
  return typeof amount === "number" && typeof unit === "string" ? `${amount} ${unit}` : value;
}

/** What a group's own default says of one of its settings. @param {Json} group @param {string} key @returns {Json} */
function usual(group, key) {
  const given = object(group["default"]);
  return key in given ? { default: given[key] } : {};
}

/** @param {Json} value @param {string} unit @returns {Setting["limits"]} */
function limitsOf(value, unit) {
  /** @param {string} name @returns {number|undefined} */
  const bound = (name) => (typeof value[name] === "number" ? Number(value[name]) : undefined);
  return { whole: value["type"] === "integer", unit, least: bound("minimum"), most: bound("maximum"),
    above: bound("exclusiveMinimum"), below: bound("exclusiveMaximum") };
}

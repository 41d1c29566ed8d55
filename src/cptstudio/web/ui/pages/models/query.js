/** Which models are shown and in what order, as the address says it. */

import { route } from "../../lib/router.js";
import { KINDS, weightsOf } from "./words.js";

/** @typedef {import("./words.js").Model} Model */

/**
 * What a column is sorted by: words from A, figures from the largest.
 * @type {{[column: string]: (model: Model) => any}}
 */
export const SORTS = {
  name: (model) => model.name.toLowerCase(),
  kind: (model) => KINDS[model.kind],
  architecture: (model) => model.architecture,
  parameters: (model) => model.parameters,
  weights: (model) => weightsOf(model) || null,
  context: (model) => model.context_length,
  license: (model) => model.license?.toLowerCase() ?? null,
  bytes: (model) => model.bytes,
  created: (model) => model.created,
};

export const SORT_WORDS = [["created", "Created"], ["name", "Name"], ["kind", "Kind"], ["architecture", "Architecture"],
  ["parameters", "Parameters"], ["weights", "Weights"], ["context", "Context"], ["license", "License"],
  ["bytes", "Size"]];

/** Whether a column begins with its largest value. @param {string} column */
const fromLargest = (column) => ["parameters", "context", "bytes", "created"].includes(column);

/** What the address says about the list. */
export function listQuery() {
  const { filter = "", kind = "", architecture = "", sort: wanted = "created", turned, runs = "" } = route.value.query;
  const sort = wanted in SORTS ? wanted : "created";
  return { filter, kind, architecture, sort, turned: turned === "1", descending: fromLargest(sort) !== (turned === "1"),
    open: runs ? runs.split(",") : [] };
}

/** @param {Model} model */
function textOf(model) {
  return [model.name, model.reference, KINDS[model.kind], model.architecture, weightsOf(model), model.license,
    model.origin?.id, model.merge, model.has_chat_template ? "chat" : ""].join(" ").toLowerCase();
}

/** The models that the filters let through, in the order of the address. @param {Model[]} models */
export function chosenModels(models) {
  const { filter, kind, architecture, sort, descending } = listQuery();
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const value = SORTS[sort];
  const direction = descending ? -1 : 1;
  return models
    .filter((model) => (!kind || model.kind === kind) && (!architecture || model.architecture === architecture))
    .filter((model) => words.every((word) => textOf(model).includes(word)))
    .map((model) => ({ model, key: value(model) }))
    .sort((a, b) => {
      if (a.key == null || b.key == null) return (a.key == null ? 1 : 0) - (b.key == null ? 1 : 0);
      return (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) * direction || (a.model.name < b.model.name ? -1 : 1);
    })
    .map(({ model }) => model);
}

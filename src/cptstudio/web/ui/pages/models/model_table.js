/** Base models, downloads, merges and exports: a row each, on a phone a card each. */

import { bytes, count, date, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { setQuery } from "../../lib/router.js";
import { Badge } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { RowMenu } from "./actions.js";
import { listQuery } from "./query.js";
import { addressOf, KINDS, PLACES, weightsOf } from "./words.js";

/** @typedef {import("./words.js").Model} Model */

/** @param {Model} model */
function nameCell(model) {
  const from = model.origin?.id ?? model.merge ?? (model.kind === "exported" ? model.made_from[0]?.label : null)
    ?? (["workspace", "missing"].includes(model.place) ? null : PLACES[model.place]);
  return h("div", { class: "model-name-cell" },
    h("span", { class: "row" }, h("a", { href: addressOf(model.reference) }, model.name),
      model.error !== null && h(Badge, { tone: "bad", icon: "alert", title: model.error },
        model.place === "missing" ? "Missing" : "Can't be used"),
      model.has_chat_template && h(Badge, { title: "Has a chat template" }, "Chat")),
    from && h("span", { class: "hint" }, from));
}

const muted = h("span", { class: "muted" }, "–");

/** Click on a head: sort by it; on the same head again: the other way round. @param {string} column */
export function sortBy(column) {
  const { sort, turned } = listQuery();
  const same = sort === column;
  setQuery({ sort: column === "created" ? null : column, turned: same && !turned ? "1" : null });
}

/** @param {{models: Model[]}} props */
export function ModelTable({ models }) {
  const { sort, descending } = listQuery();
  return h(Table, { caption: "Models", stacks: true, rows: models,
    rowKey: (/** @type {Model} */ model) => model.reference,
    sort: { column: sort, descending }, onSort: sortBy,
    columns: [
      { id: "name", title: "Model", header: true, sortable: true, cell: nameCell },
      { id: "kind", title: "Kind", sortable: true, cell: (/** @type {Model} */ model) => KINDS[model.kind] },
      { id: "architecture", title: "Architecture", sortable: true, class: "break",
        cell: (/** @type {Model} */ model) => model.architecture ?? muted },
      { id: "parameters", title: "Parameters", number: true, sortable: true,
        cell: (/** @type {Model} */ model) => count(model.parameters) },
      { id: "weights", title: "Weights", sortable: true,
        cell: (/** @type {Model} */ model) => weightsOf(model) || muted },
      { id: "context", title: "Context", number: true, sortable: true,
        cell: (/** @type {Model} */ model) => integer(model.context_length) },
      { id: "license", title: "License", sortable: true, class: "model-license",
        cell: (/** @type {Model} */ model) => model.license === null ? muted
          : h("span", { title: model.license_of === null ? undefined : `From ${model.license_of}` },
            model.license) },
      { id: "bytes", title: "Size", number: true, sortable: true, class: "nowrap",
        cell: (/** @type {Model} */ model) => bytes(model.bytes) },
      { id: "created", title: "Created", sortable: true, class: "nowrap",
        cell: (/** @type {Model} */ model) => h("span", { title: date(model.created) }, day(model.created)) },
      { id: "actions", title: h("span", { class: "visually-hidden" }, "Actions"), label: "", class: "model-menu",
        cell: (/** @type {Model} */ model) => h(RowMenu, { model }) },
    ] });
}

/** @param {number|null} seconds */
export const day = (seconds) => date(seconds).split(",").slice(0, 2).join(",");

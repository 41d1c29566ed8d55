/** The documents that a model gained most on, and those it lost most on. */

import { Field, Select } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { modelsToQuery } from "../../components/model_choice.js";
import { bits, bytes } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { signedPercent } from "./figures.js";

/** @param {{report: any, sets: string[]}} props */
export function ChangedDocuments({ report, sets }) {
  const { result } = report;
  const { query } = route.value;
  const others = result.models.slice(1);
  const chosenModel = Number(query["of"]);
  const at = Number.isInteger(chosenModel) && chosenModel >= 1 && chosenModel < result.models.length
    ? chosenModel
    : others.length;
  const set = sets.includes(query["in"]) ? query["in"] : sets[0];
  const model = result.models[at];
  const changed = model.corpora[set].changed;
  return h("section", { class: "stack", "aria-labelledby": "changed-title" },
    h("h3", { id: "changed-title" }, "Documents that changed most"),
    h("div", { class: "row choose-row" },
      others.length > 1 && h(Field, { label: "Model",
        control: (attributes) => h(Select, { ...attributes, value: at, onChoose: (of) => setQuery({ of }),
          choices: others.map((/** @type {any} */ one, /** @type {number} */ index) => [index + 1, one.label]) }) }),
      sets.length > 1 && h(Field, { label: "Set",
        control: (attributes) => h(Select, { ...attributes, value: set, onChoose: (name) => setQuery({ in: name }),
          choices: sets.map((one) => [one, one]) }) })),
    changed
      ? h("div", { class: "two" },
        h(Documents, { title: "Most improved", none: "No documents improved.", rows: changed.improved, report, model,
          set }),
        h(Documents, { title: "Most regressed", none: "No documents regressed.", rows: changed.worsened, report, model,
          set }))
      : h("p", { class: "hint" }, "This result has no per-document scores."));
}

/** @param {{title: string, none: string, rows: any[], report: any, model: any, set: string}} props */
function Documents({ title, none, rows, report, model, set }) {
  const names = (report.request?.corpora ?? []).map((/** @type {any} */ one) =>
    (typeof one === "string" ? one : one.name));
  const base = report.result.models[0].label;
  const compared = encodeURIComponent(modelsToQuery([base, model.label]));
  const place = (/** @type {any} */ row) => encodeURIComponent(`${set}:${report.result.side}:${row.document}`);
  const link = (/** @type {any} */ row) => `/evaluate?view=heat&models=${compared}&a=${place(row)}`;
  return h(Table, {
    caption: title, showCaption: true, rows, rowKey: (row) => row.document, empty: none,
    columns: [
      { id: "label", title: "Document", header: true, class: "break document-name",
        cell: (row) => (names.includes(set)
          ? h("a", { href: link(row), title: "View token by token" }, row.label)
          : row.label) },
      { id: "change", title: "Change", number: true,
        cell: (row) => signedPercent(row.bits_per_byte / row.base_bits_per_byte - 1, 1) },
      { id: "bits", title: "Bits per byte", number: true,
        cell: (row) => `${bits(row.base_bits_per_byte)} → ${bits(row.bits_per_byte)}` },
      { id: "bytes", title: "Size", number: true, cell: (row) => bytes(row.bytes) },
    ],
  });
}

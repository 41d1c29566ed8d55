/** The table of an evaluation: bits per byte of each model on each set, with the change against the first model. */

import { Button, Icon } from "../../components/elements.js";
import { bytes, integer } from "../../lib/format.js";
import { FORMATS, useMetrics } from "../../lib/metrics.js";
import { h } from "../../lib/preact.js";
import { setQuery } from "../../lib/router.js";
import { modelsToQuery } from "../../components/model_choice.js";
import { ChangedDocuments } from "./changed_documents.js";
import { CLAIM_RULES, FiguresCell, saveFigures } from "./figures.js";
import { setsToQuery, useRoles } from "./roles.js";
import { ReportHead } from "./reports.js";

/** @param {{report: any}} props */
export function TableResult({ report }) {
  const { result } = report;
  const labels = /** @type {string[]} */ (result.models.map((/** @type {any} */ model) => model.label));
  const { roleOf } = useRoles(labels);
  const sets = ordered(Object.keys(result.models[0]?.corpora ?? {}), roleOf);
  return h("section", { class: "card stack", "aria-labelledby": "table-result" },
    h(ReportHead, { id: "table-result", report, file: "evaluation", onCsv: () => saveTable(report, sets),
      about: `${result.side} split · windows of ${integer(result.context_length)} tokens, stride `
        + integer(result.stride) },
      h(Button, { small: true, onClick: () => again(report) }, "Edit and re-run")),
    h(Notes, { result }),
    h(Matrix, { result, sets, roleOf }),
    h("p", { class: "hint legend-text" },
      labels.length > 1
        ? `Bits per byte: lower is better. Percentages show change vs. ${labels[0]} on the same documents, with a 95% `
          + "confidence interval. "
        : "Bits per byte: lower is better. Evaluate a base model and its checkpoints together to see the change. ",
      labels.length > 1
        && CLAIM_RULES),
    labels.length > 1 && h(ChangedDocuments, { report, sets }));
}

/**
 * Domain first, then general, then the rest as they are.
 * @param {string[]} sets @param {(set: string) => string | null} roleOf
 */
function ordered(sets, roleOf) {
  const rank = (/** @type {string} */ set) => ({ domain: 0, general: 1 }[roleOf(set) ?? ""] ?? 2);
  return [...sets].sort((one, other) => rank(one) - rank(other));
}

/** @param {{result: any}} props */
function Notes({ result }) {
  const left = Object.entries(result.left_out ?? {}).filter(([, number]) => number);
  if (result.notes.length === 0 && left.length === 0) {
    return h("p", { class: "hint" },
      "None of these models was trained on these documents, so memorization does not affect the result.");
  }
  return h("div", { class: "notice notice-warn" }, h(Icon, { name: "alert" }),
    h("ul", { class: "plain-list" }, result.notes.map((/** @type {string} */ note) => h("li", { key: note }, note)),
      result.notes.length === 0 && left.map(([set, number]) => h("li", { key: set },
        `${integer(/** @type {number} */ (number))} documents of ${set} excluded: a model was trained on them.`))));
}

/** @param {{result: any, sets: string[], roleOf: (set: string) => string | null}} props */
function Matrix({ result, sets, roleOf }) {
  const [first] = result.models;
  return h("div", { class: "table-scroll", tabIndex: 0, role: "group", "aria-label": "Models by text set" },
    h("table", { class: "table matrix table-stacks" },
      h("caption", { class: "visually-hidden" }, "Bits per byte by model and text set"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Model"),
        sets.map((set) => h("th", { scope: "col", key: set, class: "matrix-set" },
          h("span", { class: "break" }, set), " ", roleOf(set) && h("span", { class: "tag" }, roleOf(set)),
          h("small", {}, `${integer(first.corpora[set].documents)} documents, ${bytes(first.corpora[set].bytes)}`))))),
      h("tbody", {}, result.models.map((/** @type {any} */ model, /** @type {number} */ at) =>
        h("tr", { key: `${at} ${model.label}` },
          h("th", { scope: "row", class: "matrix-model" }, h("span", { class: "break" }, model.label),
            at === 0 && result.models.length > 1 && h("small", {}, "baseline")),
          sets.map((set) => h("td", { key: set, "data-title": set },
            h(Cell, { figures: model.corpora[set], base: first.corpora[set] }))))))));
}

/** @param {{figures: any, base: any}} props */
function Cell({ figures, base }) {
  const { difference, tokens } = figures;
  const measures = useMetrics()?.measures.filter((measure) => measure.name !== "bits_per_byte") ?? [];
  const others = measures.map(({ name, title, format }) => `${title.toLowerCase()} ${FORMATS[format](figures[name])}`);
  return h(FiguresCell, { figures, base, title: [...others, `${integer(tokens)} tokens`].join(", ") },
    difference && h("span", { class: "hint figures" },
      `${integer(difference.better)} of ${integer(difference.documents)} documents improved`));
}

/** The form with what this result was asked with. @param {any} report */
function again(report) {
  const request = report.request ?? {};
  const names = (request.models ?? []).map((/** @type {any} */ one) => (typeof one === "string" ? one : one.label));
  const sets = (request.corpora ?? []).map((/** @type {any} */ one) => (typeof one === "string" ? one : one.name));
  setQuery({ report: null, models: modelsToQuery(names), sets: setsToQuery(sets),
    side: request.side === "test" ? "test" : null,
    bytes: request.max_bytes, context: request.context_length, stride: request.stride }, { push: true });
}

/** @param {any} report @param {string[]} sets */
function saveTable(report, sets) {
  const rows = report.result.models.flatMap((/** @type {any} */ model) =>
    sets.map((set) => ({ cells: [model.label, set], figures: model.corpora[set] })));
  saveFigures(["model", "set"], rows, `evaluation.${report.id}.csv`);
}

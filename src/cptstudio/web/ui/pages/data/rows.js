/** Training rows as text, with the boundaries of documents marked. */

import { get } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { Button, Problem, Select } from "../../components/elements.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";

/**
 * @typedef {{document: number, label: string, start: number, stop: number, tokens: number, text: string,
 *   shortened: boolean}} Part
 */
/** @typedef {{batch: number, row: number, length: number, parts: Part[]}} Row */

const CONTEXTS = [128, 256, 512, 1024, 2048, 4096, 8192];
const AT_ONCE = 3;

/** @param {{corpus: string, tokenised: boolean}} props tokenised: for any model */
export function RowsView({ corpus, tokenised }) {
  const query = route.value.query;
  const { data, error: modelsError } = useResource("/api/models");
  const models = /** @type {any[]|null} */ (data?.models.filter((/** @type {any} */ one) => one.error === null)
    ?? null);
  const model = query["model"] ?? models?.[0]?.id ?? "";
  const context = Number(query["context"] ?? 512);
  const packing = query["packing"] === "decompose" ? "decompose" : "concat";
  const first = Math.max(0, Math.floor(Number(query["row"] ?? 0)) || 0);
  const [page, setPage] = useState(/** @type {{rows: Row[], batches: number}|null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (model === "") return undefined;
    const abort = new AbortController();
    setBusy(true);
    get(`/api/corpora/${encodeURIComponent(corpus)}/rows`,
      { model, rows: AT_ONCE, context_length: context, packing, seed: 0, first }, abort.signal).then(
      (answer) => {
        setPage(answer);
        setError(null);
        setBusy(false);
      },
      (problem) => {
        if (abort.signal.aborted) return;
        setError(problem);
        setBusy(false);
      });
    return () => abort.abort();
  }, [corpus, model, context, packing, first]);
  if (modelsError !== null) return h(Problem, { error: modelsError });
  if (models !== null && (models.length === 0 || !tokenised)) {
    return h("p", { class: "notice" }, "Tokenise this corpus for a model to see the rows it would be trained on.");
  }
  return h("div", { class: "rows-view", "aria-busy": busy ? "true" : "false" },
    h("p", { class: "hint" },
      "What the model reads, in the order of a run with seed 0. A line marks where a document begins or goes on."),
    h("div", { class: "rows-controls" },
      choice("rows-model", "Model", model, (models ?? []).map((one) => [one.id, one.name]),
        (value) => setQuery({ model: value, row: null })),
      choice("rows-context", "Context", String(context),
        CONTEXTS.map((size) => [String(size), `${integer(size)} tokens`]),
        (value) => setQuery({ context: value, row: null })),
      choice("rows-packing", "Packing", packing,
        [["concat", "concat: joined and cut"], ["decompose", "decompose: powers of two"]],
        (value) => setQuery({ packing: value, row: null })),
      h("div", { class: "rows-steps" },
        h(Button, { disabled: first === 0,
          onClick: () => setQuery({ row: Math.max(0, first - AT_ONCE) || null }) }, "Previous rows"),
        h(Button, { disabled: page === null || first + AT_ONCE >= page.batches,
          onClick: () => setQuery({ row: first + AT_ONCE }) }, "Next rows"),
        page !== null && h("span", { class: "figures hint", role: "status" },
          `rows from ${integer(first)} of ${integer(page.batches)}`))),
    error !== null && h(Problem, { error }),
    error === null && page !== null && page.rows.length === 0 && h("p", { class: "notice" },
      "There are no more rows: an epoch ends here."),
    error === null && (page?.rows ?? []).map((row) => h(RowText, { key: `${row.batch}-${row.row}`, row })));
}

/** @param {{row: Row}} props */
function RowText({ row }) {
  const id = `row-${row.batch}-${row.row}`;
  return h("article", { class: "row-text", "aria-labelledby": id },
    h("h2", { id }, `Row ${integer(row.batch + row.row)}`,
      h("span", { class: "heading-count" }, `${integer(row.length)} tokens to predict, `
        + `${row.parts.length === 1 ? "one document" : `${row.parts.length} documents`}`)),
    row.parts.map((part, index) => h("div", { key: index, class: "row-part" },
      h("p", { class: "row-boundary" }, h("span", { class: "name" }, part.label), h("span", {}, boundaryInWords(part))),
      // A long one scrolls, which must work by the keyboard, too.
      h("pre", { class: "row-document", dir: "auto", tabIndex: 0, role: "group", "aria-label": part.label }, part.text),
      part.shortened && h("p", { class: "hint" }, "The text goes on; it is shortened here."))));
}

/** @param {Part} part */
function boundaryInWords(part) {
  const begins = part.start === 0;
  const ends = part.stop >= part.tokens;
  const extent = `tokens ${integer(part.start)} to ${integer(part.stop)} of ${integer(part.tokens)}`;
  if (begins && ends) return `whole document, ${integer(part.tokens)} tokens`;
  if (begins) return `document begins, ${extent}`;
  return ends ? `document goes on and ends, ${extent}` : `document goes on, ${extent}`;
}

/**
 * @param {string} id @param {string} label @param {string} value @param {[string, string][]} options
 * @param {(value: string) => void} change
 */
function choice(id, label, value, options, change) {
  const known = options.some(([one]) => one === value);
  return h("div", { class: "rows-choice" },
    h("label", { for: id }, label),
    h(Select, { id, value, onChoose: change, choices: known ? options : [[value, value], ...options] }));
}

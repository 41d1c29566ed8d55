/** Training rows as text, with the boundaries of documents marked. */

import { get } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { Button, Problem, Select } from "../../components/elements.js";
import { useResource } from "../../lib/resource.js";
import { queryNumber, route, setQuery } from "../../lib/router.js";
import { GoTo } from "./go_to.js";

/**
 * @typedef {{document: number, label: string, start: number, stop: number, tokens: number, text: string,
 *   shortened: boolean, counted: [number, number][]|null}} Part counted: spans of characters; null for all
 */
/** @typedef {{batch: number, row: number, length: number, parts: Part[]}} Row */

const CONTEXTS = [128, 256, 512, 1024, 2048, 4096, 8192];
const AT_ONCE = 3;

/** @param {{corpus: string, tokenised: boolean, documents: number}} props tokenised: for any model */
export function RowsView({ corpus, tokenised, documents }) {
  const query = route.value.query;
  const { data, error: modelsError } = useResource("/api/models");
  const models = /** @type {any[]|null} */ (data?.models.filter((/** @type {any} */ one) => one.error === null)
    ?? null);
  const model = query["model"] ?? models?.[0]?.id ?? "";
  const context = Number(query["context"] ?? 512);
  const packing = query["packing"] === "decompose" ? "decompose" : "concat";
  const first = Math.max(0, Math.floor(Number(query["row"] ?? 0)) || 0);
  // A document is looked for until its row is known.
  const document = queryNumber(query["document"]);
  const sought = query["row"] === undefined ? document : null;
  const [page, setPage] = useState(/** @type {{rows: Row[], first: number, batches: number}|null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (model === "") return undefined;
    const abort = new AbortController();
    setBusy(true);
    get(`/api/corpora/${encodeURIComponent(corpus)}/rows`,
      { model, rows: AT_ONCE, sequence_length: context, packing, seed: 0, first, document: sought },
      abort.signal).then(
      (answer) => {
        if (sought !== null) setQuery({ row: answer.first });
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
  }, [corpus, model, context, packing, first, sought]);
  if (modelsError !== null) return h(Problem, { error: modelsError });
  if (models !== null && (models.length === 0 || !tokenised)) {
    return h("p", { class: "notice" }, "Tokenize this corpus for a model to see its training sequences.");
  }
  return h("div", { class: "rows-view", "aria-busy": busy ? "true" : "false" },
    h("p", { class: "hint" },
      "Training sequences in the order a run with seed 0 sees them. Headers show where each document starts or "
        + "continues."
        + (page?.rows.some((row) => row.parts.some((part) => part.counted !== null))
          ? " Only the marked text counts in the loss: the answers, each with the token that ends it." : "")),
    h("div", { class: "rows-controls" },
      choice("rows-model", "Model", model, (models ?? []).map((one) => [one.id, one.name]),
        (value) => setQuery({ model: value, row: null })),
      choice("rows-context", "Sequence length", String(context),
        CONTEXTS.map((size) => [String(size), `${integer(size)} tokens`]),
        (value) => setQuery({ context: value, row: null })),
      choice("rows-packing", "Packing", packing,
        [["concat", "concat: join and cut"], ["decompose", "decompose: powers of two"]],
        (value) => setQuery({ packing: value, row: null })),
      h("div", { class: "rows-steps" },
        h(Button, { disabled: first === 0,
          onClick: () => setQuery({ row: Math.max(0, first - AT_ONCE) || null, document: null }) }, "Previous"),
        h(Button, { disabled: page === null || first + AT_ONCE >= page.batches,
          onClick: () => setQuery({ row: first + AT_ONCE, document: null }) }, "Next"),
        page !== null && h("span", { class: "figures hint", role: "status" },
          `Sequences ${integer(first + 1)}–${integer(Math.min(first + AT_ONCE, page.batches))} of `
            + integer(page.batches))),
      page !== null && h(GoTo, { label: "Go to sequence", most: page.batches,
        go: (number) => setQuery({ row: number, document: null }) }),
      documents > 0 && h(GoTo, { label: "Go to document", most: documents,
        go: (number) => setQuery({ document: number, row: null }) })),
    error !== null && h(Problem, { error }),
    error === null && page !== null && page.rows.length === 0 && h("p", { class: "notice" },
      "End of the epoch: no more sequences."),
    error === null && (page?.rows ?? []).map((row) => h(RowText, { key: `${row.batch}-${row.row}`, row, document })));
}

/** @param {{row: Row, document: number|null}} props document: whose part is marked */
function RowText({ row, document }) {
  const id = `row-${row.batch}-${row.row}`;
  return h("article", { class: "row-text", "aria-labelledby": id },
    h("h2", { id }, `Sequence ${integer(row.batch + row.row + 1)}`,
      h("span", { class: "heading-count" }, `${integer(row.length)} tokens, `
        + `${row.parts.length === 1 ? "1 document" : `${row.parts.length} documents`}`)),
    row.parts.map((part, index) => h("div", { key: index,
      class: part.document === document ? "row-part row-part-sought" : "row-part" },
      h("p", { class: "row-boundary" }, h("span", { class: "name" }, part.label), h("span", {}, boundaryInWords(part))),
      // A long one scrolls, which must work by the keyboard, too.
      h("pre", { class: "row-document", dir: "auto", tabIndex: 0, role: "group", "aria-label": part.label },
        piecesOf(part)),
      part.shortened && h("p", { class: "hint" }, "Preview truncated."))));
}

/**
 * A part's text, with what counts marked.
 * @param {Part} part
 */
function piecesOf(part) {
  if (part.counted === null) return part.text;
  // Places are counted in characters, of which some are two units in a string here.
  const characters = [...part.text];
  const pieces = [];
  let at = 0;
  for (const [start, stop] of part.counted) {
    if (start >= characters.length) break;
    pieces.push(characters.slice(at, start).join(""),
      h("mark", { class: "row-counted", key: start }, characters.slice(start, stop).join("")));
    at = stop;
  }
  return [...pieces, characters.slice(at).join("")];
}

/** @param {Part} part */
function boundaryInWords(part) {
  const begins = part.start === 0;
  const ends = part.stop >= part.tokens;
  const extent = `tokens ${integer(part.start)}–${integer(part.stop)} of ${integer(part.tokens)}`;
  if (begins && ends) return `whole document, ${integer(part.tokens)} tokens`;
  if (begins) return `start of document, ${extent}`;
  return ends ? `end of document, ${extent}` : `continued, ${extent}`;
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

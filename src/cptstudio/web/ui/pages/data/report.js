/** A corpus's report: what the build counted and found. */

import { bytes, count, date, integer, percent } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { Table } from "../../components/table.js";
import { PRIVATE } from "./files.js";

/**
 * @typedef {object} Tokenisation
 * @property {string} tokenizer hash
 * @property {string=} error
 * @property {number} vocabulary_size
 * @property {{[side: string]: number}} documents
 * @property {{[side: string]: number}} tokens
 * @property {{[reason: string]: number}} dropped_tokens
 * @property {number|null} tokens_per_byte
 * @property {number} inexact_cuts
 * @property {string[]} notes what the tokenizer loses of the text
 */

/** @typedef {{dropped: string, kept: string, similarity: number, reason: string}} DuplicatePair */

/**
 * @typedef {object} Report
 * @property {number} source_files
 * @property {number} skipped_files
 * @property {string[]} problems
 * @property {number} problem_count
 * @property {number|null=} problem_files
 * @property {{[kind: string]: number}=} left_aside
 * @property {{[what: string]: number}=} left_out by design
 * @property {{[status: string]: number}} documents
 * @property {{[status: string]: number}} text_bytes
 * @property {{[length: string]: number}} length_histogram
 * @property {DuplicatePair[]} duplicates
 * @property {{document: number, label: string, reason: string}[]} suspicious
 * @property {{[kind: string]: number}} suspicious_count
 * @property {{[script: string]: number}} scripts
 * @property {{examined: number, documents: {[language: string]: number},
 *   text_bytes: {[language: string]: number}}|null=} languages
 * @property {{[kind: string]: number}|null=} private
 * @property {number=} conversations
 * @property {number=} sectioned
 * @property {number=} recognized
 * @property {string|null=} recognized_by
 * @property {number=} pictures
 * @property {{paragraphs: number, documents: number, text_bytes: number, dropped: boolean,
 *   examples: {text: string, documents: number}[]}|null=} boilerplate
 */

/**
 * @typedef {{known: boolean, folders: {path: string, there: boolean, allowed: boolean}[], uploads: number,
 *   model: string|null, notes?: {[name: string]: string}}} Given
 */

/**
 * @typedef {object} CorpusDetail
 * @property {string} name
 * @property {string} path
 * @property {string} created
 * @property {string} fingerprint
 * @property {{text_field: string, exact_dedup: boolean, near_dedup: boolean, validation: number, test: number,
 *   include?: string[], mask?: string[], ocr?: boolean}} settings
 * @property {Report} report
 * @property {Tokenisation[]} tokenisations
 * @property {string[]} warnings
 * @property {Given} given
 */

const SIDES = ["train", "validation", "test"];
const SIDE_TITLES = new Map([["train", "Training"], ["validation", "Validation"], ["test", "Test"]]);
const MOST_ROWS = 12;

/** @param {string} status */
function sideTitle(status) {
  return SIDE_TITLES.get(status) ?? `Dropped: ${status}`;
}

/** @param {{corpus: CorpusDetail}} props */
export function ReportSections({ corpus }) {
  const { report } = corpus;
  return h("div", { class: "stack" },
    h("div", { class: "report" },
      h(Documents, { corpus }),
      h(Tokens, { stores: corpus.tokenisations }),
      h(Cleaning, { corpus }),
      h(Lengths, { histogram: report.length_histogram }),
      h(Writing, { report })),
    h(Duplicates, { report }),
    h(Suspicious, { report }));
}

/** A share in words; what is there is never "0%". @param {number} share */
function shareInWords(share) {
  return share > 0 && share < 0.001 ? "< 0.1%" : percent(share);
}

/** @param {Report} report */
function problemsInWords(report) {
  if (report.problem_count === 0) return "no problems";
  const count = `${integer(report.problem_count)} ${report.problem_count === 1 ? "problem" : "problems"}`;
  const files = report.problem_files ?? null;
  return files === null ? count : `${count} in ${integer(files)} ${files === 1 ? "file" : "files"}`;
}

/** @param {{corpus: CorpusDetail}} props */
function Documents({ corpus }) {
  const { report, settings } = corpus;
  const statuses = [...new Set([...SIDES, ...Object.keys(report.documents)])].filter(
    (status) => (report.documents[status] ?? 0) > 0 || SIDES.includes(status));
  const total = Math.max(1, Object.values(report.text_bytes).reduce((sum, one) => sum + one, 0));
  const dedup = [settings.exact_dedup && "equal", settings.near_dedup && "nearly equal"].filter(Boolean).join(" and ");
  return h("section", { class: "report-section", "aria-labelledby": "report-documents" },
    h("h2", { id: "report-documents" }, "Documents"),
    h(BarTable, { caption: `${integer(report.source_files)} source ${report.source_files === 1 ? "file" : "files"}, `
      + `${problemsInWords(report)}`,
      columns: ["Side", "Documents", "Text", "Share"],
      bars: statuses.map((status) => ({
        label: sideTitle(status),
        values: [integer(report.documents[status] ?? 0), bytes(report.text_bytes[status] ?? 0),
          shareInWords((report.text_bytes[status] ?? 0) / total)],
        size: report.text_bytes[status] ?? 0,
      })) }),
    (report.documents["validation"] ?? 0) === 0 && h("p", { class: "notice" },
      "No document is held out for validation, so training on this corpus cannot be measured. Give more text, "
        + "or a larger held-out share."),
    corpus.warnings.map((sentence) => h("p", { key: sentence, class: "notice" }, sentence)),
    h("p", { class: "hint" },
      `Held out by content: ${percent(settings.validation)} for validation, ${percent(settings.test)} for a last `
        + "test. ",
      dedup === "" ? "Duplicates are kept. " : `Documents that are ${dedup} are kept once. `,
      `Text field of records: ${settings.text_field}. Built ${date(Date.parse(corpus.created) / 1000)}.`));
}

/** @param {{corpus: CorpusDetail}} props */
function Cleaning({ corpus }) {
  const { report, settings } = corpus;
  const found = Object.entries(report.private ?? {}).filter(([, amount]) => amount > 0);
  const repeated = report.boilerplate ?? null;
  const notes = Object.entries(corpus.given.notes ?? {});
  const boilerplate = repeated !== null && repeated.paragraphs > 0;
  const leftOut = Object.entries(report.left_out ?? {});
  const counted = found.length + leftOut.length + (report.conversations ?? 0) + (report.sectioned ?? 0) + notes.length
    + (report.recognized ?? 0) + (report.pictures ?? 0);
  if (counted === 0 && !boilerplate) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-cleaning" },
    h("h2", { id: "report-cleaning" }, "Cleaning"),
    found.length > 0 && h(BarTable, { caption: "Found in the documents", columns: ["What", "Found", "In the corpus"],
      bars: found.map(([kind, amount]) => ({ label: PRIVATE.get(kind) ?? kind,
        values: [integer(amount), (settings.mask ?? []).includes(kind) ? "masked" : "kept"], size: amount })) }),
    leftOut.length > 0 && h(BarTable, { caption: "Left out of the files' text by design", columns: ["What", "Found"],
      bars: leftOut.map(([label, amount]) => ({ label, values: [integer(amount)], size: amount })) }),
    boilerplate && h("p", {}, `Repeated boilerplate: ${count(repeated.paragraphs)} `
      + `${repeated.paragraphs === 1 ? "paragraph" : "paragraphs"} in ${count(repeated.documents)} documents, `
      + `${bytes(repeated.text_bytes)} `
      + (repeated.dropped ? "dropped; each is kept once." : "of repetition, kept.")),
    boilerplate && h("details", {}, h("summary", {}, "The most frequent ones"),
      h("ul", { class: "finding-list" }, repeated.examples.slice(0, MOST_ROWS).map((one) =>
        h("li", { key: one.text }, `In ${count(one.documents)} documents: `, h("q", {}, one.text))))),
    (report.conversations ?? 0) > 0 && h("p", { class: "notice" }, "Records that are conversations, and so no "
      + `documents: ${count(report.conversations ?? 0)}. They are left out; build again with “Read conversations as `
      + "text” to have them as documents."),
    (report.recognized ?? 0) > 0 && h("p", {}, `Pages read by text recognition: ${count(report.recognized ?? 0)} (by `
      + `${report.recognized_by ?? ""}).`),
    (report.pictures ?? 0) > 0 && h("p", { class: "notice" }, "Pages that are pictures, with little text or none: "
      + `${count(report.pictures ?? 0)}. ${settings.ocr ? "No text was recognized on them" : "They are not read"}.`),
    (report.sectioned ?? 0) > 0 && h("p", { class: "hint" }, "Long documents are held out by sections, cut between "
      + "paragraphs; each section counts as a document."),
    notes.length > 0 && h("dl", { class: "file-facts" }, notes.map(([name, text]) =>
      h("div", { key: name }, h("dt", {}, `License or source of ${name}`), h("dd", {}, text)))));
}

/** @param {{stores: readonly Tokenisation[]}} props */
function Tokens({ stores }) {
  return h("section", { class: "report-section", "aria-labelledby": "report-tokens" },
    h("h2", { id: "report-tokens" }, "Tokens"),
    stores.length === 0 && h("p", { class: "notice" }, "Not tokenised for any model yet. Do so above before training."),
    stores.map((store) => h("div", { key: store.tokenizer, class: "token-store" }, store.error !== undefined
      ? h("p", { class: "field-problem" }, store.error)
      : h(BarTable, {
          caption: `Tokenizer ${store.tokenizer.slice(0, 12)}: ${integer(store.vocabulary_size)} entries`
            + (store.tokens_per_byte === null ? "" : `, ${store.tokens_per_byte.toFixed(3)} tokens a byte`),
          columns: ["Side", "Tokens"],
          bars: [
            ...SIDES.filter((side) => side in store.tokens).map((side) => ({
              label: sideTitle(side), values: [integer(store.tokens[side])], size: store.tokens[side] ?? 0 })),
            ...Object.entries(store.dropped_tokens).map(([reason, tokens]) => ({
              label: `Dropped: ${reason}`, values: [integer(tokens)], size: tokens })),
          ] }),
      store.error === undefined && store.notes.map((note) => h("p", { key: note, class: "notice" }, note)),
      store.error === undefined && store.inexact_cuts > 0 && h("p", { class: "hint" },
        `${integer(store.inexact_cuts)} places in very long documents may hold other tokens than if they were encoded `
          + "whole."))));
}

/** @param {{histogram: {[length: string]: number}}} props */
function Lengths({ histogram }) {
  const bars = Object.entries(histogram);
  if (bars.length === 0) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-lengths" },
    h("h2", { id: "report-lengths" }, "Lengths"),
    h(BarTable, { caption: "Training documents by length in bytes", columns: ["Length", "Documents"],
      bars: bars.map(([label, size]) => ({ label, values: [integer(size)], size })) }));
}

/** @param {{report: Report}} props */
function Writing({ report }) {
  const scripts = Object.entries(report.scripts);
  const languages = report.languages ?? null;
  if (scripts.length === 0 && languages === null) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-writing" },
    h("h2", { id: "report-writing" }, "Languages and scripts"),
    languages !== null && h(BarTable, {
      caption: `Languages, from the beginnings of ${integer(languages.examined)} documents and the names of files`,
      columns: ["Language", "Documents", "Text"],
      bars: merged(Object.entries(languages.text_bytes)).map(([label, share]) => ({
        label,
        values: [label in languages.documents ? shareInWords(languages.documents[label] ?? 0) : "",
          shareInWords(share)],
        size: share,
      })) }),
    scripts.length > 0 && h(BarTable, { caption: "Scripts of the letters", columns: ["Script", "Share"],
      bars: merged(scripts).map(([label, share]) => ({ label, values: [shareInWords(share)], size: share })) }));
}

/**
 * The largest shares, and the rest in one.
 * @param {[string, number][]} shares largest first
 * @returns {[string, number][]}
 */
function merged(shares) {
  if (shares.length <= MOST_ROWS) return shares;
  const rest = shares.slice(MOST_ROWS - 1);
  return [...shares.slice(0, MOST_ROWS - 1), [`${rest.length} more`, rest.reduce((sum, [, share]) => sum + share, 0)]];
}

/** @param {{report: Report}} props */
function Duplicates({ report }) {
  if (report.duplicates.length === 0) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-duplicates" },
    h("h2", { id: "report-duplicates" }, "Duplicates, for example"),
    h(Table, {
      caption: "Examples of duplicates",
      rows: report.duplicates.slice(0, MOST_ROWS),
      rowKey: (/** @type {DuplicatePair} */ pair) => pair.dropped,
      columns: [
        { id: "dropped", title: "Dropped", header: true, class: "file-name",
          cell: (/** @type {DuplicatePair} */ pair) => pair.dropped },
        { id: "kept", title: "Kept", class: "file-name", cell: (/** @type {DuplicatePair} */ pair) => pair.kept },
        { id: "likeness", title: "Likeness", number: true,
          cell: (/** @type {DuplicatePair} */ pair) => pair.similarity < 1 ? percent(pair.similarity) : "equal" },
        { id: "reason", title: "Reason", cell: (/** @type {DuplicatePair} */ pair) => pair.reason },
      ],
    }));
}

/** @param {{report: Report}} props */
function Suspicious({ report }) {
  const kinds = Object.entries(report.suspicious_count);
  if (kinds.length === 0) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-suspicious" },
    h("h2", { id: "report-suspicious" }, "Kept, but worth a look"),
    h("p", {}, kinds.map(([kind, documents]) => `${count(documents)} with ${kind}`).join(", "), "."),
    h("ul", { class: "finding-list" }, report.suspicious.slice(0, MOST_ROWS).map((one) =>
      h("li", { key: one.document }, h("span", { class: "name" }, one.label), ": ", one.reason))));
}

/**
 * @typedef {object} Bar
 * @property {string} label
 * @property {string[]} values as texts, one for each column
 * @property {number} size what the bar shows
 */

/**
 * @param {{caption: string, columns: readonly string[], bars: readonly Bar[]}} props
 * columns: headings of the label and of each value
 */
function BarTable({ caption, columns, bars }) {
  const largest = Math.max(...bars.map((bar) => bar.size), Number.MIN_VALUE);
  return h("table", { class: "bars" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {},
      columns.map((column, index) => h("th", { key: column, scope: "col", class: index === 0 ? "" : "figure" },
        column)),
      h("td", { class: "bar-cell" }))),
    h("tbody", {}, bars.map((bar) => h("tr", { key: bar.label },
      h("th", { scope: "row" }, bar.label),
      bar.values.map((value, index) => h("td", { key: index, class: "figure" }, value)),
      h("td", { class: "bar-cell" }, h("svg", { class: "bar", "aria-hidden": "true", viewBox: "0 0 100 8",
        preserveAspectRatio: "none" },
        h("rect", { width: bar.size === 0 ? 0 : Math.max(0.75, (100 * bar.size) / largest), height: 8 })))))));
}

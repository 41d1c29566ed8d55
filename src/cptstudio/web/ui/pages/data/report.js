/** A corpus's report: what the build counted and found. */

import { bytes, count, date, integer, percent } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { BarTable } from "../../components/bar_table.js";
import { Table } from "../../components/table.js";
import { ReadAndLeftOut, Turns } from "./conversation_report.js";
import { PRIVATE } from "./files.js";
import { REASONS, statusTitle } from "./statuses.js";

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
 * @property {import("./conversation_report.js").Talks|null=} talks
 * @property {number=} sectioned
 * @property {number=} recognized
 * @property {string|null=} recognized_by
 * @property {number=} pictures
 * @property {{paragraphs: number, documents: number, text_bytes: number, dropped: boolean,
 *   examples: {text: string, documents: number}[]}|null=} boilerplate
 */

/**
 * @typedef {{id: string, commit: string, configuration: string, split: string, license: string|null, files: number,
 *   rows: number|null}} GivenDataset
 */
/**
 * @typedef {{known: boolean, folders: {path: string, there: boolean, allowed: boolean}[], uploads: number,
 *   model: string|null, notes?: {[name: string]: string}, hub?: GivenDataset[]}} Given
 */

/**
 * @typedef {object} CorpusDetail
 * @property {string} name
 * @property {string} path
 * @property {string} created
 * @property {string} fingerprint
 * @property {{kind: "documents"|"conversations", prompt_column?: string|null, answer_column?: string|null,
 *   text_field: string, exact_dedup: boolean, near_dedup: boolean, validation: number, test: number,
 *   include?: string[], mask?: string[], ocr?: boolean}} settings
 * @property {Report} report
 * @property {Tokenisation[]} tokenisations
 * @property {string[]} warnings
 * @property {Given} given
 */

const SIDES = ["train", "validation", "test"];
const MOST_ROWS = 12;

/** @param {string} status */

/** @param {{corpus: CorpusDetail}} props */
export function ReportSections({ corpus }) {
  const { report } = corpus;
  const talks = report.talks ?? null;
  return h("div", { class: "stack" },
    h("div", { class: "report" },
      h(Documents, { corpus }),
      h(Tokens, { stores: corpus.tokenisations }),
      talks !== null && h(Turns, { talks }),
      talks !== null && h(ReadAndLeftOut, { talks }),
      h(Cleaning, { corpus }),
      talks === null && h(Lengths, { histogram: report.length_histogram }),
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
  return files === null ? count : `${integer(files)} with problems`;
}

/** @param {{corpus: CorpusDetail}} props */
function Documents({ corpus }) {
  const { report, settings } = corpus;
  const statuses = [...new Set([...SIDES, ...Object.keys(report.documents)])].filter(
    (status) => (report.documents[status] ?? 0) > 0 || SIDES.includes(status));
  const total = Math.max(1, Object.values(report.text_bytes).reduce((sum, one) => sum + one, 0));
  const dedup = [settings.exact_dedup && "exact duplicates", settings.near_dedup && "near-duplicates"]
    .filter(Boolean).join(" and ");
  const what = settings.kind === "conversations" ? "Conversations" : "Documents";
  return h("section", { class: "report-section", "aria-labelledby": "report-documents" },
    h("h2", { id: "report-documents" }, what),
    h(BarTable, { caption: `${integer(report.source_files)} ${report.source_files === 1 ? "file" : "files"}, `
      + `${problemsInWords(report)}`,
      columns: ["Split", what, "Text", "Share"],
      bars: statuses.map((status) => ({
        label: statusTitle(status),
        values: [integer(report.documents[status] ?? 0), bytes(report.text_bytes[status] ?? 0),
          shareInWords((report.text_bytes[status] ?? 0) / total)],
        size: report.text_bytes[status] ?? 0,
      })) }),
    (report.documents["validation"] ?? 0) === 0 && h("p", { class: "notice" },
      "The validation split is empty, so training on this corpus can't be evaluated. Add more text or "
        + "increase the validation split."),
    corpus.warnings.map((sentence) => h("p", { key: sentence, class: "notice" }, sentence)),
    h("p", { class: "hint" },
      `Split by content: ${percent(settings.validation)} validation, ${percent(settings.test)} test. `,
      dedup === "" ? "Duplicates are kept. " : `Removed ${dedup}. `,
      settings.kind === "documents" ? `Text field: ${settings.text_field}. `
        : settings.prompt_column ? `Columns: ${settings.prompt_column} and ${settings.answer_column}. ` : "",
      `Built ${date(Date.parse(corpus.created) / 1000)}.`),
    (corpus.given.hub ?? []).map((one) => h("p", { key: `${one.id}-${one.configuration}-${one.split}`,
      class: "hint break" },
      `From the hub: ${one.id}, ${one.configuration}, ${one.split}, commit ${one.commit.slice(0, 8)}; `
        + `license: ${one.license ?? "not named"}.`)));
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
    found.length > 0 && h(BarTable, { caption: "Personal data in the documents", columns: ["Type", "Found",
      "In the corpus"],
      bars: found.map(([kind, amount]) => ({ label: PRIVATE.get(kind) ?? kind,
        values: [integer(amount), (settings.mask ?? []).includes(kind) ? "masked" : "kept"], size: amount })) }),
    leftOut.length > 0 && h(BarTable, { caption: "Excluded from the text by design", columns: ["Type", "Found"],
      bars: leftOut.map(([label, amount]) => ({ label, values: [integer(amount)], size: amount })) }),
    boilerplate && h("p", {}, `Repeated boilerplate: ${count(repeated.paragraphs)} `
      + `${repeated.paragraphs === 1 ? "paragraph" : "paragraphs"} in ${count(repeated.documents)} documents, `
      + `${bytes(repeated.text_bytes)} `
      + (repeated.dropped ? "removed; one copy of each is kept." : "of repetition, kept.")),
    boilerplate && h("details", {}, h("summary", {}, "Most frequent"),
      h("ul", { class: "finding-list" }, repeated.examples.slice(0, MOST_ROWS).map((one) =>
        h("li", { key: one.text }, `In ${count(one.documents)} documents: `, h("q", {}, one.text))))),
    (report.conversations ?? 0) > 0 && h("p", { class: "notice" },
      `Skipped chat records: ${count(report.conversations ?? 0)}. To fine-tune on them, build a corpus of `
        + "conversations. To read them as text, rebuild with “Read conversations as text”."),
    (report.recognized ?? 0) > 0 && h("p", {}, `Pages read with OCR: ${count(report.recognized ?? 0)} `
      + `(${report.recognized_by ?? ""}).`),
    (report.pictures ?? 0) > 0 && h("p", { class: "notice" }, "Image pages with little or no text: "
      + `${count(report.pictures ?? 0)}. ${settings.ocr ? "OCR found no text on them" : "They were skipped"}.`),
    (report.sectioned ?? 0) > 0 && h("p", { class: "hint" }, "Long documents are split by section, between "
      + "paragraphs; each section counts as a document."),
    notes.length > 0 && h("dl", { class: "file-facts" }, notes.map(([name, text]) =>
      h("div", { key: name }, h("dt", {}, `License or source of ${name}`), h("dd", {}, text)))));
}

/** @param {{stores: readonly Tokenisation[]}} props */
function Tokens({ stores }) {
  return h("section", { class: "report-section", "aria-labelledby": "report-tokens" },
    h("h2", { id: "report-tokens" }, "Tokens"),
    stores.length === 0 && h("p", { class: "notice" }, "Not tokenized for any model yet. Tokenize it above before "
      + "training."),
    stores.map((store) => h("div", { key: store.tokenizer, class: "token-store" }, store.error !== undefined
      ? h("p", { class: "field-problem" }, store.error)
      : h(BarTable, {
          caption: `Tokenizer ${store.tokenizer.slice(0, 12)}: ${integer(store.vocabulary_size)} tokens in vocabulary`
            + (store.tokens_per_byte === null ? "" : `, ${(1 / store.tokens_per_byte).toFixed(2)} bytes per token`),
          columns: ["Split", "Tokens"],
          bars: [
            ...SIDES.filter((side) => side in store.tokens).map((side) => ({
              label: statusTitle(side), values: [integer(store.tokens[side])], size: store.tokens[side] ?? 0 })),
            ...Object.entries(store.dropped_tokens).map(([reason, tokens]) => ({
              label: statusTitle(reason), values: [integer(tokens)], size: tokens })),
          ] }),
      store.error === undefined && store.notes.map((note) => h("p", { key: note, class: "notice" }, note)),
      store.error === undefined && store.inexact_cuts > 0 && h("p", { class: "hint" },
        `${integer(store.inexact_cuts)} positions in very long documents may be tokenized differently than in one `
          + "piece."))));
}

/** @param {{histogram: {[length: string]: number}}} props */
function Lengths({ histogram }) {
  const bars = Object.entries(histogram);
  if (bars.length === 0) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-lengths" },
    h("h2", { id: "report-lengths" }, "Document sizes"),
    h(BarTable, { caption: "Training documents by size in bytes", columns: ["Size", "Documents"],
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
      caption: `Languages, detected in ${integer(languages.examined)} documents and file names`,
      columns: ["Language", "Documents", "Text"],
      bars: merged(Object.entries(languages.text_bytes)).map(([label, share]) => ({
        label,
        values: [label in languages.documents ? shareInWords(languages.documents[label] ?? 0) : "",
          shareInWords(share)],
        size: share,
      })) }),
    scripts.length > 0 && h(BarTable, { caption: "Writing systems", columns: ["Script", "Share"],
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
    h("h2", { id: "report-duplicates" }, "Sample duplicates"),
    h(Table, {
      caption: "Sample duplicates",
      rows: report.duplicates.slice(0, MOST_ROWS),
      rowKey: (/** @type {DuplicatePair} */ pair) => pair.dropped,
      columns: [
        { id: "dropped", title: "Removed", header: true, class: "file-name",
          cell: (/** @type {DuplicatePair} */ pair) => pair.dropped },
        { id: "kept", title: "Kept instead", class: "file-name",
          cell: (/** @type {DuplicatePair} */ pair) => pair.kept },
        { id: "likeness", title: "Similarity", number: true,
          cell: (/** @type {DuplicatePair} */ pair) => pair.similarity < 1 ? percent(pair.similarity) : "identical" },
        { id: "reason", title: "Reason",
          cell: (/** @type {DuplicatePair} */ pair) => REASONS.get(pair.reason) ?? pair.reason },
      ],
    }));
}

/** @param {{report: Report}} props */
function Suspicious({ report }) {
  const kinds = Object.entries(report.suspicious_count);
  if (kinds.length === 0) return null;
  return h("section", { class: "report-section", "aria-labelledby": "report-suspicious" },
    h("h2", { id: "report-suspicious" }, "Kept, but worth checking"),
    h("p", {}, kinds.map(([kind, documents]) => `${count(documents)} with ${kind}`).join(", "), "."),
    h("ul", { class: "finding-list" }, report.suspicious.slice(0, MOST_ROWS).map((one) =>
      h("li", { key: one.document }, h("span", { class: "name" }, one.label), ": ", one.reason))));
}

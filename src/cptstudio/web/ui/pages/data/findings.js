/** What a build could not read, and what it left out: file by file, document by document. */

import { bytes, integer, percent } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { Badge, Select } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { PagedList } from "../../components/paged_list.js";

/** @typedef {{label: string, reason: string, skipped: boolean}} Finding */
/**
 * @typedef {{document: number, label: string, reason: string, bytes: number,
 *   kept: {document: number|null, label: string}|null, similarity: number|null, excerpt: string}} DroppedDocument
 */


/** @param {{path: string}} props of the corpus's API */
export function LeftAsideList({ path }) {
  return h("div", { class: "stack" },
    h("p", { class: "hint" }, "Secrets, hidden files and generated files are not read. To include them, build again "
      + "and choose them under Options."),
    h(PagedList, { title: "Left aside", path: `${path}/problems`, query: { left_aside: true },
      none: "Nothing was left aside.",
      show: (page) => findingTable(page, "Left aside", [
        { id: "label", title: "File or folder", header: true, class: "file-name", cell: (finding) => finding.label },
        { id: "reason", title: "Why", cell: (finding) => finding.reason },
      ]) }));
}

/** @param {{path: string, files?: number|null}} props path: of the corpus's API; files: how many have problems */
export function ReadingProblems({ path, files = null }) {
  return h(PagedList, { title: "Problems", path: `${path}/problems`, none: "Every file could be read.",
    show: (page) => findingTable(page, files === null ? "Problems while reading" : `${integer(page.total)} `
        + `${page.total === 1 ? "problem" : "problems"} in ${integer(files)} ${files === 1 ? "file" : "files"}`, [
      { id: "label", title: "File", header: true, class: "file-name", cell: (finding) => finding.label },
      { id: "skipped", title: "Result", cell: (finding) => finding.skipped
        ? h(Badge, { tone: "warn", icon: "alert" }, "not read")
        : h(Badge, { tone: "info", icon: "info" }, "read, with a note") },
      { id: "reason", title: "What was found", class: "file-name", cell: (finding) => finding.reason },
    ]) });
}

/** @param {any} page @param {string} caption @param {import("../../components/table.js").Column[]} columns */
const findingTable = (page, caption, columns) => h(Table, { caption, columns, stacks: true, showCaption: true,
  rowKey: (finding) => finding.place,
  rows: page.problems.map((/** @type {Finding} */ finding, /** @type {number} */ index) =>
    ({ ...finding, place: page.offset + index })) });

/** @param {{path: string, counts: {[status: string]: number}}} props counts: documents by status */
export function DroppedDocuments({ path, counts }) {
  const reasons = Object.entries(counts).filter(([status, documents]) =>
    documents > 0 && !["train", "validation", "test"].includes(status));
  const wanted = route.value.query["reason"] ?? "";
  const reason = reasons.some(([name]) => name === wanted) ? wanted : "";
  return h("div", { class: "stack" },
    reasons.length > 1 && h("div", { class: "row" },
      h("label", { for: "dropped-reason" }, "Reason"),
      h(Select, { id: "dropped-reason", value: reason, none: "all", onChoose: (name) => setQuery({ reason: name }),
        choices: reasons.map(([name, documents]) => [name, `${name} (${integer(documents)})`]) })),
    h(PagedList, { title: "Dropped documents", path: `${path}/dropped`, query: { reason },
      none: "Nothing was dropped: every document is in the corpus.",
      show: (page) => h(Table, {
        caption: "Dropped documents",
        stacks: true,
        rows: page.dropped,
        rowKey: (/** @type {DroppedDocument} */ one) => one.document,
        columns: [
          { id: "label", title: "Document", header: true, class: "file-name",
            cell: (/** @type {DroppedDocument} */ one) => one.label },
          { id: "reason", title: "Why", cell: whyDropped },
          { id: "kept", title: "Kept in its place", class: "file-name",
            cell: (/** @type {DroppedDocument} */ one) => one.kept === null ? "–" : one.kept.label },
          { id: "bytes", title: "Size", number: true, cell: (/** @type {DroppedDocument} */ one) => bytes(one.bytes) },
          { id: "excerpt", title: "Begins with", class: "excerpt",
            cell: (/** @type {DroppedDocument} */ one) => one.excerpt },
        ],
      }) }));
}

/** @param {DroppedDocument} one */
function whyDropped(one) {
  const likeness = one.similarity === null || one.similarity >= 1 ? "" : `, about ${percent(one.similarity)} alike`;
  return one.reason + likeness;
}

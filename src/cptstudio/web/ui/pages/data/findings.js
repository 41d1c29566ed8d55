/** What a build could not read, and what it left out: file by file, document by document. */

import { integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { Badge } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { PagedList } from "../../components/paged_list.js";

/** @typedef {{label: string, reason: string, skipped: boolean}} Finding */

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

/** What a build left aside on purpose. */

import { h } from "../../lib/preact.js";
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

/** @param {any} page @param {string} caption @param {import("../../components/table.js").Column[]} columns */
const findingTable = (page, caption, columns) => h(Table, { caption, columns, stacks: true, showCaption: true,
  rowKey: (finding) => finding.place,
  rows: page.problems.map((/** @type {Finding} */ finding, /** @type {number} */ index) =>
    ({ ...finding, place: page.offset + index })) });

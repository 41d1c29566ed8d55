/** What a build left aside on purpose. */

import { h } from "../../lib/preact.js";
import { Table } from "../../components/table.js";
import { PagedList } from "../../components/paged_list.js";

/** @typedef {{label: string, reason: string, skipped: boolean}} Finding */

/** @param {{path: string}} props of the corpus's API */
export function LeftAsideList({ path }) {
  return h("div", { class: "stack" },
    h("p", { class: "hint" }, "Secrets, hidden files, and generated files are skipped. To include them, rebuild the "
      + "corpus and select them under Options."),
    h(PagedList, { title: "Excluded", path: `${path}/problems`, query: { left_aside: true },
      none: "Nothing was excluded.",
      show: (page) => findingTable(page, "Excluded", [
        { id: "label", title: "File or folder", header: true, class: "file-name", cell: (finding) => finding.label },
        { id: "reason", title: "Reason", cell: (finding) => finding.reason },
      ]) }));
}

/** @param {any} page @param {string} caption @param {import("../../components/table.js").Column[]} columns */
const findingTable = (page, caption, columns) => h(Table, { caption, columns, stacks: true, showCaption: true,
  rowKey: (finding) => finding.place,
  rows: page.problems.map((/** @type {Finding} */ finding, /** @type {number} */ index) =>
    ({ ...finding, place: page.offset + index })) });

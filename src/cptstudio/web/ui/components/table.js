import { h } from "../lib/preact.js";
import { Icon } from "./elements.js";

/**
 * @typedef {object} Column
 * @property {string} id
 * @property {any} title
 * @property {string=} label the title as text, where a row stacks its cells
 * @property {(row: any) => any} cell
 * @property {boolean=} number aligned to the right, tabular figures
 * @property {boolean=} header the row's own header
 * @property {boolean=} sortable
 * @property {string=} class
 */

/**
 * Rows that stand together, in the order in which each group has its first row.
 *
 * @param {any[]} rows @param {((row: any) => string)=} groupOf @returns {[string, any[]][]}
 */
export function groupsOf(rows, groupOf) {
  /** @type {Map<string, any[]>} */
  const groups = new Map();
  for (const row of rows) {
    const name = groupOf ? groupOf(row) : "";
    const members = groups.get(name);
    if (members) members.push(row);
    else groups.set(name, [row]);
  }
  return [...groups];
}

/**
 * A table that scrolls sideways inside itself where the page is narrow, or there has a block for each row.
 *
 * @param {{caption: string, showCaption?: boolean, stacks?: boolean, columns: Column[], rows: any[],
 *   rowKey: (row: any) => string | number,
 *   sort?: {column: string, descending: boolean}, onSort?: (column: string) => void, rowClass?: (row: any) => string,
 *   empty?: any, groupOf?: (row: any) => string, groupTitle?: (group: string, members: any[]) => any}} props
 *   groupOf: rows of one group stand together under its title
 */
export function Table({ caption, showCaption, stacks, columns, rows, rowKey, sort, onSort, rowClass, empty, groupOf,
  groupTitle }) {
  const cellClass = (/** @type {Column} */ column) =>
    [column.number && "number", column.class].filter(Boolean).join(" ") || undefined;
  return h("div", { class: "table-scroll", tabIndex: 0, role: "group", "aria-label": caption },
    h("table", { class: stacks ? "table table-stacks" : "table" },
      h("caption", { class: showCaption ? undefined : "visually-hidden" }, caption),
      h("thead", {},
        h("tr", {},
          columns.map((column) => {
            const sorted = sort?.column === column.id ? (sort.descending ? "descending" : "ascending") : undefined;
            return h("th", { key: column.id, scope: "col", class: cellClass(column), "aria-sort": sorted },
              column.sortable && onSort
                ? h("button", { type: "button", class: "sort", onClick: () => onSort(column.id) },
                    column.title,
                    h("span", { class: sorted ? `sort-mark sort-${sorted}` : "sort-mark" },
                      h(Icon, { name: "chevron" })))
                : column.title);
          }))),
      groupsOf(rows, groupOf).map(([group, members]) => h("tbody", { key: group },
        groupOf && h("tr", { class: "table-group" },
          h("th", { scope: "rowgroup", colSpan: columns.length }, groupTitle ? groupTitle(group, members) : group)),
        members.map((row) =>
          h("tr", { key: rowKey(row), class: rowClass?.(row) || undefined },
            columns.map((column) =>
              column.header
                ? h("th", { key: column.id, scope: "row", class: cellClass(column) }, column.cell(row))
                : h("td", { key: column.id, class: cellClass(column),
                    "data-title": stacks ? column.label ?? column.title : undefined }, column.cell(row))))))),
      rows.length === 0 && empty && h("tbody", {},
        h("tr", {}, h("td", { colSpan: columns.length, class: "table-empty" }, empty)))));
}

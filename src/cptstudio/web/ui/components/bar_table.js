/** A table whose rows have a bar each. */

import { h } from "../lib/preact.js";

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
export function BarTable({ caption, columns, bars }) {
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

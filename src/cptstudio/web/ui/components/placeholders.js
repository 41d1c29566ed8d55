/** What stands where something will be: an empty state with a picture of it, and a skeleton while it loads. */
import { h } from "../lib/preact.js";
import { Icon } from "./icons.js";

const CURVES = ["M2 12C22 14 34 52 72 60s70 10 116 11", "M2 24C26 26 44 46 84 50s66 5 104 4"];

/** @param {number} count @param {(at: number) => any} make */
const several = (count, make) => Array.from({ length: count }, (_, at) => make(at));

/**
 * A drawing of what will be there, without a word: a chart with two curves, rows of a table, cards, a text.
 *
 * @param {{of: "chart" | "table" | "cards" | "text"}} props
 */
export function Ghost({ of }) {
  if (of === "chart") {
    return h("svg", { class: "ghost ghost-chart", viewBox: "0 0 190 84", "aria-hidden": "true" },
      h("path", { class: "ghost-grid", d: "M2 20.5h186M2 44.5h186M2 68.5h186M2.5 2v80h186" }),
      CURVES.map((d, at) => h("path", { key: d, class: `ghost-curve ghost-curve-${at + 1}`, d })));
  }
  const parts = { table: 4, cards: 3, text: 5 }[of];
  return h("div", { class: `ghost ghost-${of}`, "aria-hidden": "true" },
    several(parts, (at) => h("div", { key: at, class: "ghost-part" }, several(of === "text" ? 1 : 3, (part) =>
      h("span", { key: part, class: `ghost-line ghost-line-${(at + part) % 3}` })))));
}

/**
 * What is shown where nothing is yet: what will be there, and what to do about it.
 *
 * @param {{title: string, icon?: string, ghost?: "chart" | "table" | "cards" | "text", children?: any, actions?: any}}
 *   props ghost: a picture of what will be there
 */
export function Empty({ title, icon, ghost, children, actions }) {
  return h("div", { class: ghost ? "empty empty-pictured" : "empty" },
    h("div", { class: "empty-words" },
      h("h2", {}, icon && h(Icon, { name: icon }), title),
      h("div", { class: "empty-body" }, children),
      actions && h("div", { class: "empty-actions" }, actions)),
    ghost && h(Ghost, { of: ghost }));
}

/**
 * Lines or blocks in the places of what is being loaded, so that nothing jumps when it comes.
 *
 * @param {{label: string, lines?: number, kind?: "lines" | "cards" | "chart"}} props label: what is loading, for
 *   screen readers
 */
export function Skeleton({ label, lines = 3, kind = "lines" }) {
  return h("div", { class: `skeleton skeleton-${kind}`, role: "group", "aria-busy": "true", "aria-label": label },
    several(kind === "chart" ? 1 : lines, (at) => h("span", { key: at, class: "skeleton-part" })));
}

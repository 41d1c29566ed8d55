/** Some of the texts: those that were kept, and those that were dropped, each with the reason. */

import { Badge } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { h } from "../../lib/preact.js";

/** @param {{report: any, title: string}} props */
export function Examples({ report, title }) {
  const groups = Object.entries(report.examples);
  if (groups.length === 0) return null;
  return h(Card, { title, icon: "file" }, h("div", { class: "stack" },
    groups.map(([reason, texts]) => h("details", { key: reason, open: reason === "kept" || groups.length === 1 },
      h("summary", {}, reason === "kept" ? "Kept" : `Dropped: ${reason}`),
      h("ol", { class: "study-examples" }, /** @type {any[]} */ (texts).map((one, place) => h("li", { key: place },
        h("p", { class: "hint break" }, `${one.strategy}, ${one.style} · ${one.source}`,
          one.flags.map((/** @type {string} */ flag) => h(Badge, { key: flag }, flag))),
        one.text !== "" && h("p", { class: "study-text" }, one.text),
        one.detail !== "" && h("p", { class: "field-problem break" }, one.detail))))))));
}

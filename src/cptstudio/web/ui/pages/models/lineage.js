/** Where a model came from and what became of it: a tree above it and a tree below. */

import { h } from "../../lib/preact.js";
import { integer } from "../../lib/format.js";
import { Badge, Icon } from "../../components/elements.js";
import { addressOf, KINDS } from "./words.js";

/** @typedef {import("./words.js").LineageNode} LineageNode */
/** @typedef {{node: LineageNode, below: Branch[]}} Branch */

/** How a model came from another one. @type {{[relation: string]: string}} */
const CAME = {
  base: "trained from", parent: "continued from", part: "merged from", source: "exported from", card: "based on",
  download: "downloaded from",
};
/** How another model came from it. @type {{[relation: string]: string}} */
const BECAME = { part: "merged into", source: "exported as", card: "basis of", run: "trained in" };

/** @param {{one: import("./words.js").ModelDetail}} props */
export function Lineage({ one }) {
  const { model, ancestors, descendants } = one;
  return h("div", { class: "lineage" },
    h("section", { class: "lineage-part", "aria-label": "Made from" }, h("h3", {}, "Made from"),
      ancestors.length > 0 ? h(Tree, { branches: treeOf(ancestors), words: CAME })
        : h("p", { class: "muted" }, model.kind === "base" ? "Unknown: this folder was added by hand."
          : "Not recorded.")),
    h("section", { class: "lineage-part", "aria-label": "Made into" }, h("h3", {}, "Made into"),
      descendants.length > 0 ? h(Tree, { branches: treeOf(descendants), words: BECAME })
        : h("p", { class: "muted" }, "Nothing yet.")));
}

/** @param {LineageNode[]} nodes @returns {Branch[]} */
function treeOf(nodes) {
  /** @type {Branch[]} */
  const top = [];
  /** @type {Branch[]} */
  const path = [];
  for (const node of nodes) {
    const branch = { node, below: [] };
    path.length = Math.min(node.depth, path.length);
    (path.length ? path[path.length - 1].below : top).push(branch);
    path.push(branch);
  }
  return top;
}

/** @param {{branches: Branch[], words: {[relation: string]: string}}} props */
function Tree({ branches, words }) {
  return h("ul", { class: "lineage-tree" }, branches.map(({ node, below }, at) => h("li", { key: at },
    h("span", { class: "lineage-node" },
      h("span", { class: "muted" }, `${words[node.relation] ?? node.relation} `),
      node.weight !== null && h("span", { class: "muted figures" }, `× ${node.weight} `),
      h(Name, { node })),
    below.length > 0 && h(Tree, { branches: below, words }))));
}

/** @param {{node: LineageNode}} props */
function Name({ node }) {
  if (node.relation === "run") {
    return [h("a", { key: "name", class: "break", href: `/runs/${node.label}` }, node.label), " ",
      h("span", { key: "count", class: "muted" },
        node.count === 1 ? "1 checkpoint" : `${integer(node.count)} checkpoints`)];
  }
  if (node.reference === null) {
    return [h("span", { key: "name", class: "break" }, node.label), " ",
      node.relation !== "download" && h("span", { key: "gone", class: "muted" }, "not on this machine")];
  }
  return [h("a", { key: "name", class: "break", href: addressOf(node.reference) }, node.label), " ",
    node.kind && h(Badge, { key: "kind" }, KINDS[node.kind]),
    node.error && h("span", { key: "error", class: "lineage-error", title: node.error },
      h(Icon, { name: "alert" }), "can't be used")];
}

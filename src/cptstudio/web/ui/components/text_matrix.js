/** Prompts by models, or by steps of a run: what each wrote, with the differences marked. */

import { Badge } from "./elements.js";
import { integer } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { route, setQuery } from "../lib/router.js";
import { MarkedText } from "./text_difference.js";

/** @typedef {{text: string, tokens?: number | null, finish?: string | null}} Written */
/** @typedef {{prompt: string, texts: (Written | null)[]}} Row */

/**
 * @param {{columns: string[], rows: Row[],
 *   caption: string}} props a text for each row and column; null where there is none
 */
export function TextMatrix({ columns, rows, caption }) {
  const { query } = route.value;
  const toFirst = query["against"] === "first";
  const onlyDiffering = query["differing"] === "1";
  const differs = (/** @type {Row} */ row, /** @type {number} */ at) =>
    other(row, at, toFirst) !== null && row.texts[at]?.text !== other(row, at, toFirst);
  const differing = rows.filter((row) => columns.some((_, at) => differs(row, at)));
  const shown = onlyDiffering ? differing : rows;
  return h("section", { class: "stack", "aria-label": caption },
    columns.length > 1 && h("div", { class: "row matrix-options" },
      h("label", { class: "check" }, h("input", { type: "checkbox", checked: onlyDiffering,
        onChange: () => setQuery({ differing: onlyDiffering ? null : "1" }) }),
        `Only prompts with different outputs (${integer(differing.length)} of ${integer(rows.length)})`),
      columns.length > 2 && h("fieldset", { class: "choices-inline" },
        h("legend", { class: "visually-hidden" }, "Baseline"),
        h("div", { class: "segments" },
          [["before", "Compare with previous"], ["first", `Compare with ${columns[0]}`]].map(([id, title]) =>
            h("label", { key: id },
              h("input", { type: "radio", name: "against", checked: (id === "first") === toFirst,
                onChange: () => setQuery({ against: id === "first" ? id : null }) }),
              h("span", { class: "break" }, title)))))),
    columns.length > 1 && h("p", { class: "hint" }, h("span", { class: "departure" }, "▸"),
      " marks where an output diverges from its baseline; ",
      h("mark", { class: "changed-words" }, "highlighted"), " words are not in the baseline."),
    shown.length === 0 && h("p", { class: "muted" },
      rows.length === 0 ? "No outputs." : "All models gave the same output for every prompt."),
    shown.map((row) => h("article", { class: "card prompt-row", key: rows.indexOf(row) },
      h("h3", {}, h("span", { class: "hint" }, `Prompt ${rows.indexOf(row) + 1}`), " ",
        h("span", { class: "prompt-text" }, row.prompt)),
      h("ol", { class: `prompt-cells cells-${Math.min(columns.length, 4)}` },
        columns.map((name, at) => h("li", { key: `${at} ${name}`, class: "prompt-cell" },
          h("div", { class: "prompt-cell-head" }, h("b", { class: "break" }, name),
            mark(row, at, toFirst, differs(row, at))),
          row.texts[at] === null ? h("p", { class: "muted" }, "no output") : h("pre", {},
            h(MarkedText, { text: row.texts[at]?.text ?? "", other: other(row, at, toFirst) })),
          h(Facts, { written: row.texts[at] })))))));
}

/**
 * The text that a cell is compared with.
 * @param {Row} row @param {number} at @param {boolean} toFirst @returns {string | null}
 */
function other(row, at, toFirst) {
  if (at === 0 || row.texts[at] === null) return null;
  return row.texts[toFirst ? 0 : at - 1]?.text ?? null;
}

/** @param {Row} row @param {number} at @param {boolean} toFirst @param {boolean} differs */
function mark(row, at, toFirst, differs) {
  if (other(row, at, toFirst) === null) return at === 0 ? h(Badge, {}, "baseline") : null;
  return differs
    ? h(Badge, { tone: "warn", icon: "alert" }, "different")
    : h(Badge, { tone: "quiet", icon: "check" }, "same");
}

/** @param {{written: Written | null}} props */
function Facts({ written }) {
  if (written?.tokens == null) return null;
  const ends = /** @type {Record<string, string>} */ ({ end: "ended by itself", length: "token limit reached",
    stop: "stop sequence" });
  return h("p", { class: "hint figures" },
    `${integer(written.tokens)} tokens${written.finish && ends[written.finish] ? `, ${ends[written.finish]}` : ""}`);
}

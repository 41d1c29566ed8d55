/** The heat map of scored texts: totals, the text in colours, and the tokens that changed most. */

import { announce } from "../../components/announce.js";
import { Field, Icon, Select } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { change, integer } from "../../lib/format.js";
import { FORMATS, useMetrics } from "../../lib/metrics.js";
import { h, useEffect, useMemo, useRef, useState } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { plain, signedPercent } from "./figures.js";
import { cellsOf, CHANGE_BOUNDS, changeClass, SURPRISE_BOUNDS, surpriseClass, visible } from "./heat_cells.js";
import { HeatText } from "./heat_text.js";

const MOST_LISTED = 12;
const AROUND = 6;

/** @typedef {import("./heat_cells.js").Cell} Cell */

/** @param {{result: any, names: string[]}} props names: of the texts, as the user knows them */
export function HeatResult({ result, names }) {
  const { query } = route.value;
  const labels = /** @type {string[]} */ (result.models.map((/** @type {any} */ model) => model.label));
  const number = Math.min(Math.max(0, Number(query["text"]) || 0), result.texts.length - 1);
  const asked = labels.indexOf(query["with"]);
  const other = asked > 0 ? asked : labels.length - 1;
  const several = labels.length > 1;
  const show = several && ["base", "checkpoint"].includes(query["show"])
    ? query["show"]
    : several ? "difference" : "base";
  return h("div", { class: "stack" },
    h(Totals, { result, names }),
    h("section", { class: "card stack", "aria-labelledby": "heat-title" },
      h("h2", { id: "heat-title" }, "Token by token"),
      h("div", { class: "row choose-row" },
        result.texts.length > 1 && h(Segments, { label: "Text", name: "heat-text", chosen: String(number),
          onChoose: (id) => setQuery({ text: id }),
          choices: names.map((name, index) => [String(index), name]) }),
        several && h(Segments, { label: "Color by", name: "heat-show", chosen: show,
          onChoose: (id) => setQuery({ show: id }),
          choices: [["difference", "Difference"], ["base", labels[0]], ["checkpoint", labels[other]]] }),
        labels.length > 2 && h(Field, { label: "Compare with",
          control: (attributes) => h(Select, { ...attributes, value: labels[other],
            onChoose: (label) => setQuery({ with: label }),
            choices: labels.slice(1).map((label) => [label, label]) }) })),
      h(HeatMap, { key: `${number} ${other} ${show}`, result, number, other, show, name: names[number] })));
}

/** @param {{label: string, name: string, chosen: string, choices: string[][], onChoose: (id: string) => void}} props */
function Segments({ label, name, chosen, choices, onChoose }) {
  return h("fieldset", { class: "choices" }, h("legend", {}, label),
    h("div", { class: "segments segments-wrap" }, choices.map(([id, title]) => h("label", { key: id },
      h("input", { type: "radio", name, value: id, checked: id === chosen, onChange: () => onChoose(id) }),
      h("span", { class: "break" }, title)))));
}

/** @param {{result: any, names: string[]}} props */
function Totals({ result, names }) {
  const [base] = result.models;
  const measures = useMetrics()?.measures ?? [];
  /** @param {any} model @param {number} at @param {import("../../lib/metrics.js").Metric} measure */
  const cell = (model, at, { name, format }) => {
    const value = Number(model.texts[at][name]);
    const difference = model === base || name !== "bits_per_byte" ? null : value / Number(base.texts[at][name]) - 1;
    return [FORMATS[format](value), difference !== null && h("small", { key: "change" }, signedPercent(difference))];
  };
  const columns = names.flatMap((name, at) => [
    ...measures.map((measure) => ({
      id: `${measure.name}${at}`, number: true, cell: (/** @type {any} */ model) => cell(model, at, measure),
      title: h("span", {}, measure.title,
        measure.name === "bits_per_byte"
          ? names.length > 1 && h("small", { class: "break" }, name)
          : measure.unit && [" ", h("small", { key: "unit" }, measure.unit)]),
    })),
    { id: `tokens${at}`, title: "Tokens", number: true,
      cell: (/** @type {any} */ model) => integer(model.texts[at].tokens) },
  ]);
  return h("section", { class: "card stack", "aria-labelledby": "totals-title" },
    h("h2", { id: "totals-title" }, "Totals"),
    h(Table, { caption: "Loss, perplexity, and bits per byte", rows: result.models, rowKey: (model) => model.label,
      columns: [{ id: "model", title: "Model", header: true, class: "break document-name",
        cell: (model) => model.label }, ...columns] }),
    h("p", { class: "hint" }, "Lower is better. Compare loss and perplexity only between models with the same "
      + "tokenizer. Windows of "
      + `${integer(result.context_length)} tokens, stride ${integer(result.stride)}.`));
}

/** @param {{result: any, number: number, other: number, show: string, name: string}} props */
function HeatMap({ result, number, other, show, name }) {
  const [chosen, setChosen] = useState(/** @type {number | null} */ (null));
  const area = useRef(/** @type {HTMLDivElement | null} */ (null));
  const several = result.models.length > 1;
  const pair = several ? [result.models[0], result.models[other]] : [result.models[0]];
  const alike = pair.every((/** @type {any} */ model) => model.tokenizer === pair[0].tokenizer);
  // With different tokenizers a single model is shown by its own tokens.
  const models = alike || show === "difference" ? pair : [pair[show === "checkpoint" ? 1 : 0]];
  const { text } = result.texts[number];
  const { cells, rest } = useMemo(() => cellsOf(text,
    models.map((model) => model.texts[number])), [result, number, other, show]);
  const shownAt = models.length > 1 && show === "checkpoint" ? 1 : 0;
  const classes = useMemo(() => cells.map((cell) =>
    (show === "difference" ? changeClass(cell.nats[1] - cell.nats[0]) : surpriseClass(cell.nats[shownAt]))), [cells]);
  const labels = models.map((model) => model.label);
  const choose = (/** @type {number | null} */ index, /** @type {string} */ how) => {
    setChosen(index);
    if (how === "key" && index !== null) announce(spoken(text, cells[index], labels));
  };
  const jump = (/** @type {number} */ index) => {
    const span = area.current?.querySelector(`[data-cell="${index}"]`);
    span?.scrollIntoView({ block: "center" });
    const group = area.current?.querySelector("[role=group]");
    /** @type {HTMLElement | null | undefined} */ (group)?.focus({ preventScroll: true });
    choose(index, "key");
  };
  useEffect(() => setChosen(null), [result]);
  return h("div", { class: "stack" },
    !alike && h("div", { class: "notice" }, h(Icon, { name: "info" }), h("p", {}, show === "difference"
      ? `${labels[0]} and ${labels[1]} have different tokenizers. Differences are shown for the shortest spans where `
        + "both tokenizers align; a span may contain several tokens."
      : "These models have different tokenizers, so each is shown with its own tokens.")),
    h(Legend, { show }),
    h("div", { class: "heat", ref: area },
      h(Detail, { text, cell: chosen === null ? null : cells[chosen], labels }),
      h(HeatText, { label: name, text, cells, rest, classes, chosen, onChoose: choose })),
    several && models.length > 1 && h(ChangedTokens, { text, cells, jump }));
}

/** @param {{show: string}} props */
function Legend({ show }) {
  const entry = (/** @type {string} */ name, /** @type {string} */ words) =>
    h("li", { key: name }, h("span", { class: `heat-token ${name}` }, "abc"), " ", words);
  const bounds = show === "difference" ? CHANGE_BOUNDS : SURPRISE_BOUNDS;
  const range = (/** @type {number} */ at) =>
    (at === 0 ? `< ${bounds[0]}` : at === bounds.length ? `≥ ${bounds[at - 1]}` : `${bounds[at - 1]}–${bounds[at]}`);
  const levels = [...bounds.keys(), bounds.length];
  const amount = (/** @type {number} */ at) =>
    range(at).replace("≥ ", "") + (at === bounds.length ? " or more" : "");
  return h("div", { class: "heat-legend" },
    h("p", {},
      show === "difference"
        ? "Change in nats: blue is more likely than under the base model; orange, underlined, is less likely."
        : "Surprisal (nats): darker means less expected."),
    h("ul", {}, show === "difference"
      ? [...levels.slice(1).reverse().map((at) => entry(`better-${at}`, `−${amount(at)}`)),
        entry("heat-0", `±${bounds[0]}`), ...levels.slice(1).map((at) => entry(`worse-${at}`, `+${amount(at)}`))]
      : levels.map((at) => entry(`heat-${at}`, range(at)))));
}

/** @param {number} nats @param {number} tokens */
const likelihood = (nats, tokens) =>
  `${plain(nats)} nats, probability ${percentOf(Math.exp(-nats))}${tokens === 1 ? "" : `, ${tokens} tokens`}`;
const percentOf = (/** @type {number} */ share) =>
  (share >= 1e-5 ? `${(share * 100).toPrecision(3)}%` : "below 0.001%");

/** @param {{text: string, cell: Cell | null, labels: string[]}} props */
function Detail({ text, cell, labels }) {
  if (cell === null) return h("div", { class: "heat-detail" },
    h("p", { class: "hint" }, "Hover over a token (or use the arrow keys) to see its values."));
  return h("div", { class: "heat-detail" },
    h("code", { class: "heat-piece" }, visible(text.slice(cell.from, cell.to))),
    labels.map((label, at) => h("span", { key: label, class: "figures" }, h("b", { class: "break" }, label), ": ",
      likelihood(cell.nats[at], cell.tokens[at]))),
    labels.length > 1 && h("span", { class: "figures" }, h("b", {}, "Change"),
      `: ${change(cell.nats[1] - cell.nats[0], 3)} nats`));
}

/** @param {string} text @param {Cell} cell @param {string[]} labels */
function spoken(text, cell, labels) {
  const figures = labels.map((label, at) => `${label} ${plain(cell.nats[at])} nats`).join(", ");
  return `${visible(text.slice(cell.from, cell.to))}: `
    + `${figures}${labels.length > 1 ? `, change ${change(cell.nats[1] - cell.nats[0], 3)}` : ""}`;
}

/** @param {{text: string, cells: Cell[], jump: (index: number) => void}} props */
function ChangedTokens({ text, cells, jump }) {
  const order = useMemo(() => {
    const known = [...cells.keys()].filter((index) => Number.isFinite(cells[index].nats[1] - cells[index].nats[0]));
    return known.sort((one, other) => difference(cells[one]) - difference(cells[other]));
  }, [cells]);
  const improved = order.slice(0, MOST_LISTED).filter((index) => difference(cells[index]) < 0);
  const worsened = order.slice(-MOST_LISTED).reverse().filter((index) => difference(cells[index]) > 0);
  const list = (/** @type {string} */ title, /** @type {number[]} */ rows, /** @type {string} */ none) => h(Table, {
    caption: title, showCaption: true, rows, rowKey: (index) => index, empty: none,
    columns: [
      { id: "token", title: "Token", header: true,
        cell: (index) => h("button", { type: "button", class: "heat-jump", title: "Show in text",
          onClick: () => jump(index) }, visible(text.slice(cells[index].from, cells[index].to))) },
      { id: "context", title: "In the text", class: "heat-context",
        cell: (index) => h(Context, { text, cells, index }) },
      { id: "change", title: "Change", number: true, cell: (index) => change(difference(cells[index]), 2) },
      { id: "nats", title: "Nats", number: true,
        cell: (index) => `${plain(cells[index].nats[0], 2)} → ${plain(cells[index].nats[1], 2)}` },
    ] });
  return h("div", { class: "two" },
    list("Most improved tokens", improved, "No token became more likely."),
    list("Most regressed tokens", worsened, "No token became less likely."));
}

/** @param {Cell} cell */
const difference = (cell) => cell.nats[1] - cell.nats[0];

/** @param {{text: string, cells: Cell[], index: number}} props */
function Context({ text, cells, index }) {
  const cell = cells[index];
  const from = cells[Math.max(0, index - AROUND)].from;
  const to = cells[Math.min(cells.length - 1, index + AROUND)].to;
  return h("span", {}, from > 0 && "…", text.slice(from, cell.from), h("mark", {}, text.slice(cell.from, cell.to)),
    text.slice(cell.to, to), to < text.length && "…");
}

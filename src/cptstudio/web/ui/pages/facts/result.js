/** What models know: shares, the four states by document, and each fact. */

import { Badge, Button, Select } from "../../components/elements.js";
import { Menu } from "../../components/menu.js";
import { Table } from "../../components/table.js";
import { saveCsv, saveJson } from "../../lib/download.js";
import { date, integer, percent } from "../../lib/format.js";
import { Fragment, h, useState } from "../../lib/preact.js";
import { GROUPS, STATES } from "./words.js";

const SHOWN = 50;

/** @param {{report: any}} props */
export function FactsResult({ report }) {
  const { result } = report;
  return h("section", { class: "card stack", "aria-labelledby": "facts-result" },
    h("div", { class: "spread" },
      h("div", {}, h("h2", { id: "facts-result", class: "break" }, report.title),
        h("p", { class: "hint" }, `${date(report.created)} · ${integer(result.facts.length)} facts`)),
      h(Menu, { label: "Export", icon: "download", small: true, items: [
        { title: "Save as CSV", onChoose: () => saveFacts(report) },
        { title: "Save as JSON", onChoose: () => saveJson(report, `facts.${report.id}.json`) }] })),
    result.notes.map((/** @type {string} */ note) => h("p", { key: note, class: "notice notice-warn" }, note)),
    result.models.slice(1).map((/** @type {any} */ model) => h(States, { key: model.label, model,
      baseline: result.models[0].label })),
    h(Shares, { result }),
    h("p", { class: "hint" }, `Known: the right answer leads so clearly that at most ${percent(result.guesses)} of `
      + "these facts are expected to be lucky guesses. Small figures are 95% intervals. Held-out facts, which no run "
      + "trained on, show what was known before or guessed."),
    h(FactTable, { result }));
}

/** @param {any} report */
function saveFacts(report) {
  const { models, facts } = report.result;
  const columns = models.flatMap((/** @type {any} */ model) => [`${model.label} leads`, `${model.label} margin`,
    `${model.label} guess`, `${model.label} state`]);
  saveCsv(["fact", "document", "group", "text", "answer", ...columns],
    facts.map((/** @type {any} */ fact) => [fact.id, fact.document, fact.group, fact.shown, fact.answer,
      ...fact.models.flatMap((/** @type {any} */ one) => [one.leads, one.margin, one.guess, one.state ?? ""])]),
    `facts.${report.id}.csv`);
}

/** The four states of a model's facts as bars, and by document. @param {{model: any, baseline: string}} props */
function States({ model, baseline }) {
  const groups = Object.entries(model.states);
  return h("section", { class: "stack", "aria-label": model.label },
    h("h3", { class: "break" }, `${model.label} compared with ${baseline}`),
    groups.map(([group, states]) => h(Fragment, { key: group },
      h("div", { class: "states-head" }, h("strong", {}, GROUPS[group]),
        h("span", { class: "hint" }, gainWords(model.gain[group]))),
      h(StateBar, { states }))),
    h("ul", { class: "state-legend" }, STATES.map(([state, words, means]) => h("li", { key: state },
      h("span", { class: `state-mark state-${state}`, "aria-hidden": "true" }), h("span", {}, words),
      h("span", { class: "hint" }, means)))),
    h(Table, { caption: `States by document, ${model.label}`, rows: model.documents,
      rowKey: (row) => `${row.document} ${row.group}`, stacks: true, columns: [
        { id: "document", title: "Document", header: true, class: "break",
          cell: (row) => row.document || "No document" },
        { id: "group", title: "Facts", cell: (row) => `${integer(row.facts)}, ${GROUPS[row.group].toLowerCase()}` },
        ...STATES.map(([state, words]) => ({ id: state, title: words, number: true,
          cell: (/** @type {any} */ row) => h(Count, { share: row.states[state] }) })),
      ] }));
}

/** @param {any} gain */
function gainWords(gain) {
  if (!gain) return "";
  const sign = (/** @type {number} */ value) => `${value > 0 ? "+" : ""}${percent(value)}`;
  return `right answers: ${sign(gain.value)} (${sign(gain.low)} to ${sign(gain.high)})`;
}

/** @param {{share: any}} props */
function Count({ share }) {
  if (share == null) return "–";
  return h("span", {}, integer(share.right), " ", h("small", { class: "hint" },
    `${percent(share.low)} to ${percent(share.high)}`));
}

/** @param {{states: any}} props */
function StateBar({ states }) {
  const parts = STATES.map(([state, words]) => ({ state, words, share: states[state] }))
    .filter((part) => part.share && part.share.right > 0);
  const text = parts.map((part) => `${part.words}: ${integer(part.share.right)}`).join(", ");
  let from = 0;
  return h("div", { class: "state-bar" },
    h("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": text },
      parts.map((part) => {
        const x = from;
        from += 100 * part.share.value;
        return h("rect", { key: part.state, class: `state-${part.state}`, x: x.toFixed(2), y: 0, height: 6,
          width: (100 * part.share.value).toFixed(2) });
      })),
    h("p", { class: "figures" }, parts.map((part, at) => h(Fragment, { key: part.state }, at > 0 && " · ",
      h("strong", {}, integer(part.share.right)), ` ${part.words.toLowerCase()}`))));
}

/** @param {{result: any}} props */
function Shares({ result }) {
  const rows = result.models.flatMap((/** @type {any} */ model) => Object.entries(model.groups).map(
    ([group, of]) => ({ label: model.label, group, .../** @type {any} */ (of) })));
  const share = (/** @type {string} */ field) => (/** @type {any} */ row) => h("span", {}, row[field] == null ? "–"
    : percent(row[field].value), row[field] != null && h("small", { class: "hint" },
    ` ${percent(row[field].low)} to ${percent(row[field].high)}`));
  const asked = (/** @type {string} */ field) => rows.some((/** @type {any} */ row) => row[field] != null);
  return h(Table, { caption: "What models know", rows, rowKey: (row) => `${row.label} ${row.group}`, columns: [
    { id: "model", title: "Model", header: true, class: "break", cell: (row) => row.label },
    { id: "group", title: "Facts", cell: (row) => GROUPS[row.group] },
    { id: "right", title: "Right", number: true, cell: share("right") },
    { id: "chance", title: "Chance", number: true, cell: (row) => (row.chance == null ? "–" : percent(row.chance)) },
    { id: "above", title: "Above chance", number: true, cell: share("above_chance") },
    { id: "known", title: "Known", number: true, cell: share("known") },
    ...(asked("open_book") ? [{ id: "open", title: "Open book", number: true, cell: share("open_book") }] : []),
    ...(asked("reversed") ? [{ id: "reversed", title: "Reversed", number: true, cell: share("reversed") }] : []),
    ...(asked("said") ? [{ id: "said", title: "In its own words", number: true, cell: share("said") }] : []),
  ] });
}

/** @param {{result: any}} props */
function FactTable({ result }) {
  const { models, facts } = result;
  const [most, setMost] = useState(SHOWN);
  const [state, setState] = useState("");
  const last = models.length - 1;
  const kept = facts.filter((/** @type {any} */ fact) => state === "" || fact.models[last].state === state);
  return h("section", { class: "stack", "aria-labelledby": "facts-each" },
    h("div", { class: "spread" }, h("h3", { id: "facts-each" }, "Fact by fact"),
      last > 0 && h(Select, { value: state, none: `All states of ${models[last].label}`, onChoose: setState,
        "aria-label": "State", choices: STATES.map(([id, words]) => [id, words]) })),
    h(Table, { caption: "Answers by fact", rows: kept.slice(0, most), rowKey: (row) => row.id,
      empty: "No facts in this state.", columns: [
        { id: "fact", title: "Fact", header: true, class: "fact-cell", cell: (row) => h("div", {},
          h("span", { class: "fact-text" }, row.shown), h("p", { class: "hint" }, `Answer: ${row.answer}`),
          h("p", { class: "hint break" },
            [row.document, GROUPS[row.group].toLowerCase()].filter(Boolean).join(" · "))) },
        ...models.map((/** @type {any} */ model, /** @type {number} */ at) => ({ id: model.label,
          title: h("span", { class: "break" }, model.label),
          cell: (/** @type {any} */ row) => h(Answered, { one: row.models[at], guesses: result.guesses }) })),
      ] }),
    kept.length > most && h("p", {}, h(Button, { small: true, onClick: () => setMost(most + SHOWN) },
      `Show more (${integer(kept.length - most)})`)));
}

/** @param {{one: any, guesses: number}} props */
function Answered({ one, guesses }) {
  if (one.leads === undefined) return "–";
  const known = one.guess <= guesses;
  const words = STATES.find(([state]) => state === one.state)?.[1];
  return h("div", { class: "answered" },
    one.leads ? h(Badge, { tone: known ? "good" : "info", icon: "check" }, known ? "known" : "right, may be a guess")
      : h(Badge, { tone: "quiet", icon: "close" }, "wrong"),
    words && h("strong", {}, words),
    h("span", { class: "hint figures" }, `${integer(one.right)} of ${integer(one.wordings)} `
      + `${one.wordings === 1 ? "wording" : "wordings"} right (${percent(one.low)} to ${percent(one.high)})`));
}


/** Chat habits by model: frontier, table, answers, and saving a sum as a model. */

import { startJob } from "../../components/asked_jobs.js";
import { Badge, Button, Field, Problem } from "../../components/elements.js";
import { Segmented } from "../../components/segmented.js";
import { saveCsv } from "../../lib/download.js";
import { integer } from "../../lib/format.js";
import { nameProblem } from "../../lib/names.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { ChatAnswers } from "./chat_answers.js";
import { axisTitle, MEASURES, pointName, rowName, share, WAYS } from "./chat_words.js";
import { FiguresCell } from "./figures.js";
import { Frontier } from "./frontier.js";
import { saves } from "./merge_saves.js";
import { ReportHead } from "./reports.js";

/** @param {{report: any}} props */
export function ChatResult({ report }) {
  const { result } = report;
  const sets = Object.keys(result.points[0]?.corpora ?? {});
  const wanted = Number(route.value.query["point"] ?? NaN);
  const suggested = result.points.findIndex((/** @type {any} */ point) => point.label === result.suggested);
  const fallback = suggested >= 0 ? suggested : null;
  const chosen = Number.isInteger(wanted) && wanted >= 0 && wanted < result.points.length ? wanted : fallback;
  const choose = (/** @type {number} */ index) => setQuery({ point: String(index) });
  const point = chosen === null ? null : result.points[chosen];
  const prompts = result.prompts?.length ?? 0;
  return h("section", { class: "card stack", "aria-labelledby": "chat-result" },
    h(ReportHead, { id: "chat-result", report, file: report.kind, onCsv: () => saveTable(report, sets),
      about: `${integer(prompts)} prompts, max ${integer(result.max_tokens)} tokens per answer` }),
    h(ChatFrontier, { result, sets, chosen, choose }),
    h(Points, { result, sets, chosen, choose, pick: report.kind === "chat-again" }),
    h(Legend, { result }),
    point?.way === "difference" && !result.saved && h(SavePoint, { key: chosen, report, point }),
    h(ChatAnswers, { result }));
}

/** @param {{result: any, sets: string[], chosen: number | null, choose: (index: number) => void}} props */
function ChatFrontier({ result, sets, chosen, choose }) {
  const domain = sets.find((set) => result.roles?.[set] === "domain");
  const axis = MEASURES.find((one) => one.id === route.value.query["axis"]) ?? MEASURES[0];
  const points = /** @type {any[]} */ (result.points);
  if (domain === undefined || !points.some((point) => point.way === "trained")) return null;
  const spots = points.flatMap((point, index) => {
    const measured = point.habits?.[axis.id];
    if (!measured) return [];
    const kind = point.way === "instruct" ? "base" : point.way === "trained" ? "trained" : "between";
    return [{ index, label: rowName(point), short: pointName(point),
      kind: /** @type {import("./frontier.js").Spot["kind"]} */ (kind), x: Number(point.corpora[domain].bits_per_byte),
      y: measured.value, interval: /** @type {[number, number]} */ ([measured.low, measured.high]),
      apart: point.way === "instruct" || point.way === "model" }];
  });
  const corner = axis.better === "higher" ? "Upper left" : "Lower left";
  return h("div", { class: "stack" },
    h("div", { class: "row" }, h(Segmented, { label: "Measure on the chart", value: axis.id,
      choices: MEASURES.map((one) => /** @type {[string, string]} */ ([one.id, one.title])),
      onChoose: (id) => setQuery({ axis: id === MEASURES[0].id ? null : id }) })),
    h(Frontier, { spots, domain, general: "", chosen, onChoose: choose, upwards: {
      title: axisTitle(axis), text: share, most: 1, caption: "Chat vs. domain", words: frontierWords(result, axis),
      hint: `${corner} is better on both. Square: instruct model; triangle: trained; circles: with the difference `
        + "added, or other models. Vertical lines: 95% intervals. Select a row below to pick a model." } }));
}

/** @param {any} result @param {typeof MEASURES[number]} axis */
function frontierWords(result, axis) {
  const of = (/** @type {string} */ way) => result.points.find((/** @type {any} */ point) => point.way === way);
  const [instruct, trained] = [of("instruct"), of("trained")];
  const best = result.points.find((/** @type {any} */ point) => point.label === result.suggested);
  const said = (/** @type {any} */ point) => share(point.habits[axis.id].value);
  const before = `${axis.title}: ${said(instruct)} for the instruct model, ${said(trained)} after training`;
  if (!best) return `${before}.`;
  const gain = best.gain_kept === null ? "" : `, keeping ${share(best.gain_kept)} of the domain gain`;
  return `${before}, ${said(best)} with ${rowName(best)}${gain}.`;
}

/** @param {{result: any}} props */
function Legend({ result }) {
  return h("div", { class: "hint legend-text stack" },
    h("p", {}, MEASURES.map((one) => `${one.title}: ${one.says}`).join(". "), ". Ranges are 95% intervals."),
    result.points.some((/** @type {any} */ point) => point.gain_kept !== null) && h("p", {}, "Difference: what the "
      + "instruct model adds to its base. Gain kept: how much of the domain improvement from base to trained is left. ",
      result.suggested && "Suggested: of the models that keep at least 80% of it, the best sum of “Template kept” and "
        + "“Instructions”."));
}

/**
 * @param {{result: any, sets: string[], chosen: number | null, choose: (index: number) => void, pick: boolean}} props
 * pick: a row can be picked
 */
function Points({ result, sets, chosen, choose, pick }) {
  const points = /** @type {any[]} */ (result.points);
  const [first] = points;
  const gain = points.some((point) => point.gain_kept !== null);
  const asked = points.some((point) => point.questions);
  return h("div", { class: "table-scroll", tabIndex: 0, role: "group", "aria-label": "Chat habits by model" },
    h("table", { class: "table matrix table-stacks" },
      h("caption", { class: "visually-hidden" }, "Chat habits and bits per byte by model"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Model"),
        MEASURES.map((one) => h("th", { scope: "col", key: one.id }, one.title)),
        asked && h("th", { scope: "col" }, "Questions"),
        gain && h("th", { scope: "col" }, "Gain kept"),
        sets.map((set) => h("th", { scope: "col", key: set, class: "matrix-set" }, h("span", { class: "break" }, set),
          " ", result.roles?.[set] && h("span", { class: "tag" }, result.roles[set]))))),
      h("tbody", {}, points.map((point, index) =>
        h("tr", { key: point.label, class: index === chosen ? "selected" : undefined },
          h("th", { scope: "row", class: "matrix-model" }, pick
            ? h("label", { class: "check" },
              h("input", { type: "radio", name: "point", checked: index === chosen, onChange: () => choose(index) }),
              h("span", { class: "break" }, rowName(point)))
            : h("span", { class: "break" }, rowName(point)),
          WAYS[point.way] && h("span", { class: "hint" }, WAYS[point.way]),
          point.label === result.suggested && h(Badge, { tone: "good", icon: "check" }, "suggested")),
          MEASURES.map((one) => h("td", { key: one.id, "data-title": one.title },
            h(Estimate, { estimate: point.habits?.[one.id] }))),
          asked && h("td", { "data-title": "Questions" }, h(Estimate, { estimate: point.questions ?? undefined })),
          gain && h("td", { "data-title": "Gain kept" },
            h("strong", { class: "figures" }, point.gain_kept === null ? "–" : share(point.gain_kept))),
          sets.map((set) => h("td", { key: set, "data-title": set },
            h(FiguresCell, { figures: point.corpora[set], base: first.corpora[set] }))))))));
}

/** @param {{estimate: {value: number, low: number, high: number} | undefined}} props */
function Estimate({ estimate }) {
  if (!estimate) return h("span", { class: "muted" }, "–");
  return h("div", { class: "habit" }, h("strong", { class: "figures" }, share(estimate.value)),
    h("span", { class: "hint figures" }, `${share(estimate.low)} to ${share(estimate.high)}`));
}

/** @param {{report: any, point: any}} props */
function SavePoint({ report, point }) {
  const [name, setName] = useState("");
  const [problem, setProblem] = useState("");
  const { busy, error, run } = useWork();
  const { request } = report;
  const save = () => {
    const wrong = nameProblem(name, "model");
    setProblem(wrong);
    if (wrong) return;
    void run(async () => {
      const job = await startJob("/api/evaluation/chat-again", { run: request.trained, instruct: request.instruct,
        strengths: [point.share], corpora: request.corpora.map((/** @type {any} */ one) => one.name),
        side: request.side, max_bytes: request.max_bytes, max_tokens: request.max_tokens, save: name,
        ...(request.base ? { base: request.base } : {}) });
      saves.value = { ...saves.value, [job.id]: name };
    });
  };
  return h("form", { class: "save-point",
    onSubmit: (/** @type {Event} */ event) => { event.preventDefault(); save(); } },
    h(Field, { label: `Save ${rowName(point)} as`, problems: problem ? [problem] : [],
      hint: "Saves a full model with the instruct model's chat template to models/base in your workspace.",
      control: (attributes) => h("input", { ...attributes, type: "text", maxLength: 64, autocomplete: "off",
        spellcheck: false, value: name, onInput: withValue(setName) }) }),
    h("div", { class: "row" }, h(Button, { kind: "primary", type: "submit", busy }, "Save model")),
    error !== null && h(Problem, { error }));
}

/** @param {any} report @param {string[]} sets */
function saveTable(report, sets) {
  const columns = MEASURES.flatMap((one) => [one.id, `${one.id}_low`, `${one.id}_high`]);
  saveCsv(["model", "way", "strength", ...columns, "gain_kept", ...sets],
    report.result.points.map((/** @type {any} */ point) => [point.label, point.way, point.share,
      ...MEASURES.flatMap((one) => {
        const { value, low, high } = point.habits?.[one.id] ?? {};
        return [value, low, high];
      }), point.gain_kept, ...sets.map((set) => point.corpora[set].bits_per_byte)]), `${report.kind}.${report.id}.csv`);
}

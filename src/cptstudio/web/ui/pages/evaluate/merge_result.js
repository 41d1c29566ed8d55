/** The points of a merge: frontier, table, and saving one of them as a model. */

import { startJob } from "../../components/asked_jobs.js";
import { Button, Field, Icon, Problem } from "../../components/elements.js";
import { modelsToQuery } from "../../components/model_choice.js";
import { nameProblem } from "../../lib/names.js";
import { integer } from "../../lib/format.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { USUAL_BYTES } from "./held_out.js";
import { CLAIM_RULES, FiguresCell, isSure, saveFigures } from "./figures.js";
import { Frontier, spotKind } from "./frontier.js";
import { saves } from "./merge_saves.js";
import { ReportHead } from "./reports.js";

/** @param {{report: any}} props */
export function MergeResult({ report }) {
  const { result } = report;
  const sets = Object.keys(result.points[0]?.corpora ?? {});
  const byRole = (/** @type {string} */ role) => sets.find((set) => result.roles?.[set] === role);
  const domain = byRole("domain") ?? sets[0];
  const general = byRole("general") ?? sets.find((set) => set !== domain);
  const wanted = Number(route.value.query["point"] ?? NaN);
  const chosen = Number.isInteger(wanted) && wanted >= 0 && wanted < result.points.length ? wanted : null;
  const choose = (/** @type {number} */ index) => setQuery({ point: String(index) });
  // A point on the way from the base to the trained model is a sum of these two.
  const wayBack = report.request?.points?.[0]?.parts?.length === 2 && result.points[0]?.share != null;
  const spots = general === undefined
    ? []
    : result.points.map((/** @type {any} */ point, /** @type {number} */ index) => ({
      index, label: point.label, ...spotKind(point, index, wayBack), x: Number(point.corpora[domain].bits_per_byte),
      y: Number(point.corpora[general].bits_per_byte),
      gained: isSure(point.corpora[domain].difference), forgot: isSure(point.corpora[general].difference),
    }));
  return h("section", { class: "card stack", "aria-labelledby": "merge-result" },
    h(ReportHead, { id: "merge-result", report, file: "merge", onCsv: () => saveTable(report, sets),
      about: `windows of ${integer(result.context_length)} tokens` }),
    result.saved && h(Saved, { path: result.saved, points: result.points }),
    spots.length > 1 && general !== undefined && h(Frontier, { spots, domain, general, chosen, onChoose: choose }),
    sets.length > 0 && h(Points, { result, sets, chosen, choose }),
    sets.length > 0 && h("p", { class: "hint legend-text" }, "Bits per byte: lower is better. Percentages show change "
      + `vs. ${result.points[0].label}, with a 95% confidence interval. ${CLAIM_RULES}`),
    chosen !== null && !result.saved && h(SavePoint, { key: chosen, report, point: result.points[chosen],
      parts: report.request?.points?.[chosen]?.parts ?? [] }));
}

/** @param {{path: string, points: any[]}} props */
function Saved({ path, points }) {
  const name = path.split("/").pop() ?? path;
  return h("div", { class: "notice" }, h(Icon, { name: "check" }),
    h("div", {}, h("p", {}, h("b", { class: "break" }, name),
      ` was saved (${points[0]?.label ?? ""}). You can load its folder with mlx_lm or transformers.`),
      h("p", { class: "hint break" }, path),
      h("p", {}, h("a", { href: `/playground?models=${encodeURIComponent(modelsToQuery([name]))}` },
        "Open in Playground"))));
}

/** @param {{result: any, sets: string[], chosen: number | null, choose: (index: number) => void}} props */
function Points({ result, sets, chosen, choose }) {
  const [first] = result.points;
  return h("div", { class: "table-scroll", tabIndex: 0, role: "group", "aria-label": "Merged models by corpus" },
    h("table", { class: "table matrix table-stacks" },
      h("caption", { class: "visually-hidden" }, "Bits per byte of each merged model on each corpus"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Merged model"),
        sets.map((set) => h("th", { scope: "col", key: set, class: "matrix-set" }, h("span", { class: "break" }, set),
          " ", result.roles?.[set] && h("span", { class: "tag" }, result.roles[set]))))),
      h("tbody", {}, result.points.map((/** @type {any} */ point, /** @type {number} */ index) =>
        h("tr", { key: point.label, class: index === chosen ? "selected" : undefined },
          h("th", { scope: "row", class: "matrix-model" },
            h("label", { class: "check" },
              h("input", { type: "radio", name: "point", checked: index === chosen, onChange: () => choose(index) }),
              h("span", { class: "break" }, point.label))),
          sets.map((set) => h("td", { key: set, "data-title": set },
            h(FiguresCell, { figures: point.corpora[set], base: first.corpora[set] }))))))));
}

/**
 * How the API is asked for one point of a report again: by its label and its parts.
 * @param {any} point @param {any[]} parts @param {string | undefined} instruct as the report's request names it
 * @returns {{run: string, kind: string, shares?: number[], last?: number, instruct?: string} | null}
 */
function askFor(point, parts, instruct) {
  const back = /^\S+ of (.+)$/.exec(point.label);
  const mean = /^mean of (\S+) at /.exec(point.label);
  const sum = /^(.+) \+ \S+ \((.+) - base\)$/.exec(point.label);
  if (mean) return { run: mean[1], kind: "average", last: parts.length };
  if (sum) return { run: sum[1], kind: "instruct", shares: [point.share], instruct: instruct ?? sum[2] };
  if (back) return { run: back[1], kind: "back_to_base", shares: [point.share] };
  return null;
}

/** @param {{report: any, point: any, parts: any[]}} props */
function SavePoint({ report, point, parts }) {
  const [name, setName] = useState("");
  const [problem, setProblem] = useState("");
  const { busy, error, run } = useWork();
  const ask = askFor(point, parts, report.request?.instruct);
  if (ask === null) return h("p", { class: "hint" },
    "This result doesn't record how its models were merged. Measure them again to save one.");
  const save = () => {
    const wrong = nameProblem(name, "model");
    setProblem(wrong);
    if (wrong) return;
    const request = report.request ?? {};
    const corpora = (request.corpora ?? []).map((/** @type {any} */ one) => (typeof one === "string" ? one : one.name));
    void run(async () => {
      const job = await startJob("/api/evaluation/merges",
        { ...ask, corpora, side: request.side ?? "validation", max_bytes: request.max_bytes ?? USUAL_BYTES,
          save: name });
      saves.value = { ...saves.value, [job.id]: name };
    });
  };
  return h("form", { class: "save-point",
    onSubmit: (/** @type {Event} */ event) => { event.preventDefault(); save(); } },
    h(Field, { label: `Save ${point.label} as`, problems: problem ? [problem] : [],
      hint: "Saves a full model, as large as the base model, to models/base in your workspace.",
      control: (attributes) => h("input", { ...attributes, type: "text", maxLength: 64, autocomplete: "off",
        spellcheck: false, value: name, onInput: withValue(setName) }) }),
    h("div", { class: "row" }, h(Button, { kind: "primary", type: "submit", busy }, "Save model")),
    error !== null && h(Problem, { error }));
}

/** @param {any} report @param {string[]} sets */
function saveTable(report, sets) {
  const rows = report.result.points.flatMap((/** @type {any} */ point) =>
    sets.map((set) => ({ cells: [point.label, point.share, set], figures: point.corpora[set] })));
  saveFigures(["point", "share", "set"], rows, `merge.${report.id}.csv`);
}

/** Merging a trained model back towards its base: what is asked, and the frontier. */

import { StartJob } from "../../components/asked_jobs.js";
import { Button, Empty, Field, Problem } from "../../components/elements.js";
import { NumberField } from "../../components/number_field.js";
import { findModel, modelsFromQuery, modelsToQuery, useTestingModels } from "../../components/model_choice.js";
import { urlOf } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { checkedNumber, readNumbers } from "../../lib/typed_number.js";
import { Command } from "./command.js";
import { CorpusChoice, SideChoice } from "./corpus_choice.js";
import { BYTES, USUAL_BYTES, USUAL_SHARES } from "./held_out.js";
import { MergeResult } from "./merge_result.js";
import { madeOrSaved, SavedModels } from "./merge_saves.js";
import { WorkView } from "./reports.js";
import { setsFromQuery, setsToQuery, useRoles } from "./roles.js";

const DEFAULT_LAST = 3;
const LAST = { whole: true, least: 2, most: 100 };

/** @type {Record<string, [string, string]>} */
const KINDS = {
  back_to_base: ["Merge with base", "base + a (trained − base) for each ratio a: 0 = base, 1 = trained (WiSE-FT)."],
  average: ["Average of checkpoints",
    "The mean of the run's last checkpoints, often slightly better than any one of them."],
  instruct: ["Add an instruct model",
    "trained + a (instruct − base): adds what an instruct model of the same base learned (Chat Vector)."],
};

/** What the URL asks for. @param {any[] | null} models */
function asked(models) {
  const { query } = route.value;
  const [reference] = modelsFromQuery(query["checkpoint"]);
  const found = reference && models ? findModel(models, reference) : undefined;
  const fallback = models?.find((model) => model.kind === "checkpoint" && model.last && !model.error)
    ?? models?.find((model) => model.kind === "checkpoint");
  return {
    run: found ?? fallback,
    kind: (query["kind"] ?? "") in KINDS ? query["kind"] : "back_to_base",
    shares: query["shares"] ?? USUAL_SHARES,
    last: checkedNumber(query["last"] ?? "", LAST).number ?? DEFAULT_LAST,
    instruct: modelsFromQuery(query["instruct"])[0] ?? "",
    side: query["side"] === "test" ? "test" : "validation",
    max_bytes: checkedNumber(query["bytes"] ?? "", BYTES).number ?? USUAL_BYTES,
  };
}

/** @param {string} text @returns {number[] | null} null where it is no list of numbers */
export function sharesOf(text) {
  const found = readNumbers(text);
  return found !== null && found.every((share) => Math.abs(share) <= 10) ? found : null;
}

export function MergeView() {
  return h(WorkView, { kind: "merge", label: "Running merges", former: "Past merges", finished: madeOrSaved,
    kept: "Points that were measured are kept: started again, it goes on from there. A model is saved whole or not at "
      + "all.", Result: MergeResult, Ask: AskMerge }, h(SavedModels, {}));
}

/** @param {{open: boolean}} props */
function AskMerge({ open }) {
  const { models, error, reload } = useTestingModels();
  const chosen = asked(models);
  const { roleOf, known } = useRoles(chosen.run ? [chosen.run.reference] : []);
  const want = { ...chosen, corpora: setsFromQuery(route.value.query["sets"], known) };
  if (error !== null && models === null) return h(Problem, { error, retry: () => void reload() });
  if (models === null) return h("p", { class: "muted", "aria-busy": "true" }, "Looking for models…");
  if (!want.run) {
    return h(Empty, { title: "No checkpoints to merge yet",
      actions: h(Button, { kind: "primary", href: "/new" }, "New run") },
      h("p", {}, "Training on a domain makes the model forget some of what it knew. A weighted average of the base "
        + "and trained "
        + "weights often keeps most of the gain and undoes much of the forgetting, without more training."),
      h("p", {}, "Train a run, then merge its checkpoints here."));
  }
  const { run } = want;
  const shares = want.kind === "average" ? [] : sharesOf(want.shares);
  const { query } = route.value;
  const wrong = checkedNumber(query["bytes"] ?? "", BYTES).problem !== ""
    || (want.kind === "average" && checkedNumber(query["last"] ?? "", LAST).problem !== "");
  const missing = wrong
    ? "Fix the highlighted fields."
    : shares === null
      ? "Enter mix ratios, such as 0; 0.5; 1."
      : want.kind === "instruct" && !want.instruct
        ? "Choose an instruct model."
        : want.corpora.length === 0 ? "Choose corpora to measure on: one domain and one general." : "";
  const body = { run: run.reference, kind: want.kind, corpora: want.corpora, side: want.side, max_bytes: want.max_bytes,
    save: null,
    ...(want.kind === "average" ? { last: want.last } : { shares: shares ?? [] }),
    ...(want.kind === "instruct" ? { instruct: want.instruct } : {}) };
  return h("details", { class: "card ask", open },
    h("summary", {}, h("h2", {}, "Merge and measure")),
    h("div", { class: "ask-columns" },
      h("div", { class: "stack" },
        h(Field, { label: "Checkpoint",
          control: (attributes) => h("select", { ...attributes, value: run.reference,
            onChange: withValue((text) => setQuery({ checkpoint: modelsToQuery([text]) })) },
            checkpointsByRun(models).map(([group, rows]) => h("optgroup", { key: group, label: group },
              rows.map((one) => h("option", { key: one.reference, value: one.reference, selected: one === run,
                disabled: Boolean(one.error) },
                `${group}, step ${integer(one.step)}${one.best ? ", best" : ""}${one.last ? ", last" : ""}`))))) }),
        h("fieldset", { class: "choices" }, h("legend", {}, "Method"),
          Object.entries(KINDS).map(([kind, [title, says]]) => h("label", { class: "check", key: kind },
            h("input", { type: "radio", name: "merge-kind", checked: want.kind === kind,
              onChange: () => setQuery({ kind: kind === "back_to_base" ? null : kind }) }),
            h("span", {}, h("b", {}, title), h("span", { class: "hint" }, ` ${says}`))))),
        h(Amounts, { want, models, wrong: shares === null })),
      h("div", { class: "stack" },
        h(CorpusChoice, { side: want.side, chosen: want.corpora, roleOf,
          onChange: (names) => setQuery({ sets: setsToQuery(names) }) }),
        h(SideChoice, { side: want.side, onChange: (side) => setQuery({ side: side === "test" ? side : null }) }),
        h(NumberField, { label: "Text per corpus", unit: "bytes", text: query["bytes"] ?? "",
          initial: String(USUAL_BYTES), limits: BYTES, onText: (text) => setQuery({ bytes: text }) }))),
    h(StartJob, { action: "Merge and measure", path: "/api/evaluation/merges", body, missing }),
    missing === "" && h(Command, { words: commandWords(run.reference, want, shares ?? []) }));
}

/** @param {{want: ReturnType<typeof asked>, models: any[], wrong: boolean}} props */
function Amounts({ want, models, wrong }) {
  if (want.kind === "average") {
    return h(NumberField, { label: "Checkpoints to average", hint: "Number of the run's latest checkpoints to average.",
      text: route.value.query["last"] ?? "", initial: String(DEFAULT_LAST), limits: LAST,
      onText: (text) => setQuery({ last: text }) });
  }
  return h("div", { class: "stack" },
    want.kind === "instruct" && h("p", { class: "hint" }, "This measures bits per byte alone. ",
      h("a", { href: urlOf("/evaluate", { view: "chat", checkpoint: route.value.query["checkpoint"] }) },
        "Measure whether it chats again"), " under Chat."),
    want.kind === "instruct" && h(Field, { label: "Instruct model", hint: "Must share the same base model.",
      control: (attributes) => h("select", { ...attributes, value: want.instruct,
        onChange: withValue((text) => setQuery({ instruct: modelsToQuery([text]) })) },
        h("option", { value: "" }, "Choose a model"),
        models.filter((one) => one.kind === "base" && !one.error).map((one) => h("option", { key: one.reference,
          value: one.reference, selected: one.reference === want.instruct }, one.label))) }),
    h(Field, { label: "Mix ratios (0 = base, 1 = trained)", problems: wrong
      ? ["Enter numbers from -10 to 10 separated by semicolons, such as 0; 0.5; 1."]
      : [], hint: "One merged model is measured per ratio.",
      control: (attributes) => h(TypedInput, { ...attributes, type: "text", value: want.shares,
        onText: (text) => setQuery({ shares: text === USUAL_SHARES ? null : text }) }) }));
}

/** @param {any[]} models @returns {[string, any[]][]} */
export function checkpointsByRun(models) {
  /** @type {Map<string, any[]>} */
  const groups = new Map();
  for (const model of models.filter((one) => one.kind === "checkpoint")) groups.set(model.group,
    [...(groups.get(model.group) ?? []), model]);
  return [...groups];
}

/** @param {string} run @param {ReturnType<typeof asked> & {corpora: string[]}} want @param {number[]} shares */
function commandWords(run, want, shares) {
  const words = /** @type {(string | number)[]} */ (["cpt-studio", "merge", run]);
  if (want.kind === "average") words.push("--average", want.last);
  else if (want.shares !== USUAL_SHARES || want.kind === "instruct") {
    for (const share of shares) words.push("--at", share);
  }
  if (want.kind === "instruct") words.push("--instruct", want.instruct);
  for (const name of want.corpora) words.push("-c", name);
  if (want.side !== "validation") words.push("--split", want.side);
  if (want.max_bytes !== USUAL_BYTES) words.push("--max-bytes", want.max_bytes);
  return words;
}

/**
 * @param {{value: string | number, onText: (text: string) => void, [attribute: string]: any}} props
 * value: what holds, shown while the input has no focus
 */
export function TypedInput({ value, onText, ...attributes }) {
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  const take = withValue((text) => {
    setTyped(text);
    onText(text);
  });
  return h("input", { ...attributes, value: typed ?? value, onInput: take, onBlur: () => setTyped(null) });
}

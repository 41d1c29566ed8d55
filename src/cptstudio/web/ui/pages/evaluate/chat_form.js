/** What is asked of chat habits: of a run with an instruct model, or of models as they are. */

import { StartJob } from "../../components/asked_jobs.js";
import { Button, Empty, Field, Problem } from "../../components/elements.js";
import {
  findModel, ModelChoice, modelsFromQuery, modelsToQuery, resolved, useChosenModels, useTestingModels,
} from "../../components/model_choice.js";
import { NumberField } from "../../components/number_field.js";
import { integer } from "../../lib/format.js";
import { h, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { Command } from "./command.js";
import { CorpusChoice, SideChoice } from "./corpus_choice.js";
import { ANSWER_TOKENS, BYTES, USUAL_ANSWER_TOKENS, USUAL_BYTES, USUAL_STRENGTHS } from "./held_out.js";
import { checkpointsByRun, sharesOf, TypedInput } from "./merge_view.js";
import { setsFromQuery, setsToQuery, useRoles } from "./roles.js";
import { TextSets, useUploads } from "./text_sets.js";

const MOST_MODELS = 16;
const MOST_OTHERS = 8;

/** What the URL asks for in both forms. */
function measured() {
  const { query } = route.value;
  const bytes = checkedNumber(query["bytes"] ?? "", BYTES);
  const tokens = checkedNumber(query["tokens"] ?? "", ANSWER_TOKENS);
  return { wrong: bytes.problem !== "" || tokens.problem !== "",
    body: { side: query["side"] === "test" ? "test" : "validation", max_bytes: bytes.number ?? USUAL_BYTES,
      max_tokens: tokens.number ?? USUAL_ANSWER_TOKENS } };
}

/** The question file that the URL names, where it is there. */
function useQuestions() {
  const found = useUploads("questions");
  const wanted = route.value.query["file"];
  const file = found.uploads?.find((one) => one.id === wanted) ?? null;
  return { found, file, body: file === null ? {} : { upload: file.id },
    words: file === null ? [] : ["--questions", file.name] };
}

/**
 * @param {{corpora: string[], roleOf: (name: string) => string | null, questions: ReturnType<typeof useQuestions>}}
 *   props
 */
function OnWhat({ corpora, roleOf, questions }) {
  const { query } = route.value;
  const typed = (/** @type {string} */ name) =>
    ({ text: query[name] ?? "", onText: (/** @type {string} */ text) => setQuery({ [name]: text }) });
  return h("div", { class: "stack" },
    h(NumberField, { ...typed("tokens"), label: "Tokens per answer", unit: "tokens", limits: ANSWER_TOKENS,
      initial: String(USUAL_ANSWER_TOKENS), hint: "An answer that is longer counts as one that does not stop." }),
    h(CorpusChoice, { side: measured().body.side, chosen: corpora, roleOf,
      onChange: (names) => setQuery({ sets: setsToQuery(names) }) }),
    h(SideChoice, { side: measured().body.side,
      onChange: (side) => setQuery({ side: side === "test" ? side : null }) }),
    h(NumberField, { ...typed("bytes"), label: "Text per corpus", unit: "bytes", limits: BYTES,
      initial: String(USUAL_BYTES) }),
    h("details", { class: "advanced", open: questions.file !== null },
      h("summary", {}, "Questions"),
      h(TextSets, { legend: "Question file", accept: ".jsonl", fits: /\.jsonl$/i, single: true, found: questions.found,
        chosen: questions.file ? [questions.file.id] : [], hint: "Does it still know your facts? One question per "
          + "line, as under Questions.",
        onChange: (ids) => setQuery({ file: ids[0] ?? null }) })));
}

/** @param {{side: string, max_bytes: number, max_tokens: number}} body @param {string[]} corpora */
function measuredWords(body, corpora) {
  const words = /** @type {(string | number)[]} */ (corpora.flatMap((name) => ["-c", name]));
  if (body.side !== "validation") words.push("--split", body.side);
  if (body.max_bytes !== USUAL_BYTES) words.push("--max-bytes", body.max_bytes);
  if (body.max_tokens !== USUAL_ANSWER_TOKENS) words.push("--max-tokens", body.max_tokens);
  return words;
}

/** @param {{open: boolean}} props */
export function AskCheck({ open }) {
  const { chosen, choice } = useChosenModels(MOST_MODELS);
  const { roleOf } = useRoles(chosen);
  const questions = useQuestions();
  const corpora = setsFromQuery(route.value.query["sets"], []);
  const { wrong, body } = measured();
  const missing = chosen.length === 0 ? "Choose a model." : wrong ? "Fix the highlighted fields." : "";
  return h("details", { class: "card ask", open },
    h("summary", {}, h("h2", {}, "Check chat habits")),
    h("div", { class: "ask-columns" }, choice, h(OnWhat, { corpora, roleOf, questions })),
    h(StartJob, { action: "Check", path: "/api/evaluation/chat-checks", missing,
      body: { ...body, ...questions.body, models: chosen, corpora } }),
    missing === "" && h(Command, { words: ["cpt-studio", "chat-check", ...chosen, ...measuredWords(body, corpora),
      ...questions.words] }));
}

/** What the URL asks for, with the last checkpoint and the first model with a chat template as the usual ones.
 * @param {import("../../components/model_choice.js").EvaluationModel[] | null} models */
function asked(models) {
  const { query } = route.value;
  const [reference] = modelsFromQuery(query["checkpoint"]);
  const run = (reference && models ? findModel(models, reference) : undefined)
    ?? models?.find((model) => model.kind === "checkpoint" && model.last && !model.error);
  const [named] = modelsFromQuery(query["instruct"]);
  const usable = (models ?? []).filter((model) => model.kind === "base" && !model.error);
  const fitting = usable.filter((model) => model.chat && (query["base"] || model.reference !== run?.base));
  return { run, fitting, bases: usable, base: modelsFromQuery(query["base"])[0] ?? "",
    instruct: named ?? fitting[0]?.reference ?? "",
    strengths: query["strengths"] ?? USUAL_STRENGTHS,
    others: resolved(models, modelsFromQuery(query["others"])) };
}

/** @param {{open: boolean}} props */
export function AskAgain({ open }) {
  const { models, error, reload } = useTestingModels();
  const want = asked(models);
  const { roleOf, known } = useRoles(want.run ? [want.run.reference] : []);
  const questions = useQuestions();
  if (error !== null && models === null) return h(Problem, { error, retry: () => void reload() });
  if (models === null) return h("p", { class: "muted", "aria-busy": "true" }, "Looking for models…");
  const { run } = want;
  if (!run) {
    return h(Empty, { title: "No trained run yet", actions: h(Button, { kind: "primary", href: "/new" }, "New run") },
      h("p", {}, "Train a run on your documents, then bring its chat back here: add what an instruct model of the same "
        + "base learned, measure several strengths, and save the best."));
  }
  const corpora = setsFromQuery(route.value.query["sets"], known);
  const strengths = sharesOf(want.strengths);
  const { wrong, body } = measured();
  const missing = !want.instruct
    ? "Choose an instruct model."
    : strengths === null || strengths.length === 0
      ? "Enter strengths, such as 0.5; 1."
      : wrong ? "Fix the highlighted fields." : "";
  return h("details", { class: "card ask", open },
    h("summary", {}, h("h2", {}, "Bring chat back")),
    h("div", { class: "ask-columns" },
      h("div", { class: "stack" },
        h(Field, { label: "Checkpoint", control: (attributes) => h("select", { ...attributes, value: run.reference,
          onChange: withValue((text) => setQuery({ checkpoint: modelsToQuery([text]) })) },
          checkpointsByRun(models).map(([group, rows]) => h("optgroup", { key: group, label: group },
            rows.map((one) => h("option", { key: one.reference, value: one.reference, selected: one === run,
              disabled: Boolean(one.error) },
              `${group}, step ${integer(one.step)}${one.best ? ", best" : ""}${one.last ? ", last" : ""}`))))) }),
        h(Field, { label: "Instruct model",
          hint: "Must share the run's base model. Its chat template is used for all models.",
          control: (attributes) => h("select", { ...attributes, value: want.instruct,
            onChange: withValue((text) => setQuery({ instruct: modelsToQuery([text]) })) },
            h("option", { value: "" }, "Choose a model"),
            want.fitting.map((one) => h("option", { key: one.reference, value: one.reference,
              selected: one.reference === want.instruct }, one.label))) }),
        h(Field, { label: "Base model", hint: "What the instruct model was made from. Choose it if the run was "
          + "trained from another model, such as the instruct model itself.",
          control: (attributes) => h("select", { ...attributes, value: want.base,
            onChange: withValue((text) => setQuery({ base: text ? modelsToQuery([text]) : null })) },
            h("option", { value: "" }, "What the run was trained from"),
            want.bases.map((one) => h("option", { key: one.reference, value: one.reference,
              selected: one.reference === want.base }, one.label))) }),
        h(Field, { label: "Strengths", problems: strengths === null
          ? ["Enter numbers from -10 to 10 separated by semicolons, such as 0.5; 1."]
          : [], hint: "One model per strength s: trained + s (instruct − base).",
          control: (attributes) => h(TypedInput, { ...attributes, type: "text", value: want.strengths,
            onText: (text) => setQuery({ strengths: text === USUAL_STRENGTHS ? null : text }) }) }),
        h("details", { class: "advanced", open: want.others.length > 0 },
          h("summary", {}, "Compare other models"),
          h("p", { class: "hint" }, "Such as a checkpoint that was fine-tuned on conversations."),
          h(ModelChoice, { models, chosen: want.others, most: MOST_OTHERS, legend: "Other models",
            onChange: (references) => setQuery({ others: modelsToQuery(references) }) }))),
      h(OnWhat, { corpora, roleOf, questions })),
    h(StartJob, { action: "Measure", path: "/api/evaluation/chat-again", missing,
      body: { ...body, ...questions.body, run: run.reference, instruct: want.instruct, strengths: strengths ?? [],
        others: want.others, corpora, ...(want.base ? { base: want.base } : {}) } }),
    missing === "" && h(Command, { words: ["cpt-studio", "chat-again", run.reference, "--instruct", want.instruct,
      ...(want.base ? ["--base", want.base] : []),
      ...(want.strengths === USUAL_STRENGTHS ? [] : (strengths ?? []).flatMap((one) => ["--at", one])),
      ...want.others.flatMap((one) => ["--also", one]), ...measuredWords(body, corpora),
      ...questions.words] }));
}

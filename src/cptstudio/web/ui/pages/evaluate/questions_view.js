/** Questions from a file: what is asked, the accuracies, and each answer. */

import { StartJob } from "../../components/asked_jobs.js";
import { Badge, Button } from "../../components/elements.js";
import { useChosenModels } from "../../components/model_choice.js";
import { Table } from "../../components/table.js";
import { saveCsv } from "../../lib/download.js";
import { integer, percent } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { Command } from "./command.js";
import { plain } from "./figures.js";
import { ReportHead, WorkView } from "./reports.js";
import { TextSets, useUploads } from "./text_sets.js";

const MOST_MODELS = 16;
const QUESTION_FILES = /\.jsonl$/i;
const SHOWN = 50;

export function QuestionsView() {
  return h(WorkView, { kind: "questions", label: "Running question sets", kept: "Run it again with the button below.",
    former: "Past results", Result: QuestionsResult, Ask: AskQuestions });
}

/** @param {{open: boolean}} props */
function AskQuestions({ open }) {
  const { chosen, choice } = useChosenModels(MOST_MODELS);
  const found = useUploads("questions");
  const wanted = route.value.query["file"];
  const file = found.uploads?.find((one) => one.id === wanted) ?? null;
  const missing = [chosen.length === 0 && "a model", file === null && "a question file"].filter(Boolean)
    .join(" and ");
  return h("details", { class: "card ask", open },
    h("summary", {}, h("h2", {}, "Run questions")),
    h("div", { class: "ask-columns" },
      choice,
      h("div", { class: "stack" },
        h(TextSets, { legend: "Question file", accept: ".jsonl", fits: QUESTION_FILES, single: true, found,
          chosen: file ? [file.id] : [], hint: "JSON Lines, one question per line.",
          onChange: (ids) => setQuery({ file: ids[0] ?? null }) }),
        h(Format, {}))),
    h(StartJob, { action: "Run", path: "/api/evaluation/questions", body: { models: chosen, upload: wanted },
      missing: missing ? `Choose ${missing}.` : "" }),
    file !== null && chosen.length > 0 && h(Command, { words: ["cpt-studio", "questions", file.name, ...chosen] }));
}

function Format() {
  return h("div", { class: "stack format" },
    h("h3", {}, "File format"),
    h("p", {}, "One JSON object per line. For multiple choice, answer is the index of the correct choice, starting "
      + "at 0:"),
    h("pre", {}, h("code", {}, '{"context": "The capital of France is", "choices": [" Paris", " Rome"], "answer": 0}')),
    h("p", {}, "For cloze, answer is the correct continuation:"),
    h("pre", {}, h("code", {}, '{"context": "The capital of France is", "answer": " Paris"}')),
    h("p", { class: "hint" }, "Context and continuation are joined as is, so include the space between them. "
      + "Choices are scored by the log-probability of their tokens after the context; a cloze answer is correct if "
      + "greedy decoding produces it exactly."));
}

/** @param {{report: any}} props */
function QuestionsResult({ report }) {
  const { result } = report;
  const labels = Object.keys(result.models);
  const rows = labels.map((label) => ({ label, ...result.models[label] }));
  const share = (/** @type {any} */ part, /** @type {string} */ key) => (part?.questions ? percent(part[key]) : "–");
  const save = () => saveCsv(["model", "multiple_choice", "accuracy", "accuracy_per_byte", "cloze", "cloze_accuracy"],
    rows.map((row) => [row.label, row.multiple_choice?.questions, row.multiple_choice?.accuracy,
      row.multiple_choice?.accuracy_per_byte, row.cloze?.questions, row.cloze?.accuracy]),
    `questions.${report.id}.csv`);
  return h("section", { class: "card stack", "aria-labelledby": "questions-result" },
    h(ReportHead, { id: "questions-result", report, file: "questions", about: result.file, onCsv: save }),
    h(Table, { caption: "Accuracy by model", rows, rowKey: (row) => row.label, columns: [
      { id: "model", title: "Model", header: true, class: "break", cell: (row) => row.label },
      { id: "choice", title: h("span", {}, "Multiple choice ",
        h("small", {}, `${integer(rows[0]?.multiple_choice?.questions)} questions`)), number: true,
        cell: (row) => share(row.multiple_choice, "accuracy") },
      { id: "bytes", title: h("span", {}, "Multiple choice ", h("small", {}, "per byte")), number: true,
        cell: (row) => share(row.multiple_choice, "accuracy_per_byte") },
      { id: "cloze", title: h("span", {}, "Cloze ", h("small", {}, `${integer(rows[0]?.cloze?.questions)} questions`)),
        number: true, cell: (row) => share(row.cloze, "accuracy") },
    ] }),
    h("p", { class: "hint" }, "Higher is better. Per byte: each choice's score is divided by its length, which is "
      + "fairer when lengths differ a lot."),
    h(Answers, { models: result.models, labels }));
}

/** @param {{models: any, labels: string[]}} props */
function Answers({ models, labels }) {
  const { query } = route.value;
  const [most, setMost] = useState(SHOWN);
  const all = /** @type {any[]} */ (models[labels[0]]?.questions ?? []);
  const rights = (/** @type {number} */ at) => labels.map((label) => models[label].questions[at]?.right);
  const onlyDiffering = query["differing"] === "1";
  const kept = [...all.keys()].filter((at) => !onlyDiffering || new Set(rights(at)).size > 1);
  const total = (models[labels[0]]?.multiple_choice?.questions ?? 0) + (models[labels[0]]?.cloze?.questions ?? 0);
  return h("section", { class: "stack", "aria-labelledby": "answers-title" },
    h("h3", { id: "answers-title" }, "Question by question"),
    labels.length > 1 && h("label", { class: "check" },
      h("input", { type: "checkbox", checked: onlyDiffering,
        onChange: () => setQuery({ differing: onlyDiffering ? null : "1" }) }),
      "Only questions where models differ"),
    total > all.length && h(
      "p", { class: "hint" }, `Showing the first ${integer(all.length)} of ${integer(total)} questions.`),
    h(Table, { caption: "Answers by question", rows: kept.slice(0, most),
      rowKey: (at) => at, empty: "No questions.", columns: [
      { id: "number", title: "Question", header: true, class: "question",
        cell: (at) => h("div", {}, h("span", { class: "hint" }, `${at + 1} `),
          h("span", { class: "prompt-text" }, all[at].context), h(Choices, { question: all[at] })) },
      ...labels.map((label) => ({ id: label, title: h("span", { class: "break" },
        label), cell: (/** @type {number} */ at) => h(Answered, { question: models[label].questions[at] }) })),
    ] }),
    kept.length > most && h("p", {}, h(Button, { small: true, onClick: () => setMost(most + SHOWN) },
      `Show more (${integer(kept.length - most)})`)));
}

/** @param {{question: any}} props */
function Choices({ question }) {
  return h("ul", { class: "question-choices" },
    question.choices.map((/** @type {string} */ choice, /** @type {number} */ at) =>
      h("li", { key: at, class: "prompt-text" },
        choice.trim(), at === question.answer && h("span", { class: "hint" }, " (right)"))));
}

/** @param {{question: any}} props */
function Answered({ question }) {
  if (!question) return "–";
  const values = question.log_probabilities.map(Number);
  const best = values.indexOf(Math.max(...values));
  return h("div", { class: "answered" },
    question.right
      ? h(Badge, { tone: "good", icon: "check" }, "right")
      : h(Badge, { tone: "bad", icon: "close" }, "wrong"),
    h("span", { class: "hint figures" },
      question.cloze ? `answer surprisal ${plain(-values[0], 2)} nats` : `chose ${question.choices[best].trim()}`));
}

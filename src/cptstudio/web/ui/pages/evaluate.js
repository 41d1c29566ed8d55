/** Evaluate: did the model get better, and what did it forget? */

import { Button } from "../components/elements.js";
import { PageHeader } from "../components/layout.js";
import { Tabs } from "../components/tabs.js";
import { h } from "../lib/preact.js";
import { navigate, route } from "../lib/router.js";
import { ChatView } from "./evaluate/chat_view.js";
import { HeatView } from "./evaluate/heat_view.js";
import { MergeView } from "./evaluate/merge_view.js";
import { ResultsView } from "./evaluate/results_view.js";
import { QuestionsView } from "./evaluate/questions_view.js";
import { SuitesView } from "./evaluate/suites_view.js";
import { TableView } from "./evaluate/table_view.js";

/** @type {Record<string, {title: string, says: string, content: any}>} */
const VIEWS = {
  results: { title: "Results", content: ResultsView, says: "" },
  table: { title: "Table", content: TableView, says: "Evaluate models and checkpoints on held-out text. Bits per "
    + "byte: how "
    + "many bits the model needs per byte of unseen text. Lower is better; comparable across tokenizers." },
  heat: { title: "Heat map", content: HeatView,
    says: "Token by token: where a checkpoint predicts a text better than its base model, and where it forgot." },
  suites: { title: "Prompt suites", content: SuitesView,
    says: "The same prompts, seed, and sampling for every model, so any difference comes from the models." },
  merge: { title: "Merge with base", content: MergeView, says: "Merging the trained model with its base often "
    + "keeps most of the gain and forgets less. Measure a few mix ratios, pick one, and save it." },
  chat: { title: "Chat", content: ChatView, says: "Training on documents makes a model forget how to chat: it no "
    + "longer stops, repeats itself, ignores its template. Measure that, and bring it back." },
  questions: { title: "Questions", content: QuestionsView,
    says: "Multiple-choice and cloze questions from a file, scored by likelihood." },
};

/** What an address means that names no view: of before, all were of the table. @param {Record<string, string>} query */
const usualView = (query) => ["report", "models", "sets", "texts"].some((name) => query[name]) ? "table" : "results";

export default function Evaluate() {
  const { query } = route.value;
  const asked = query["view"] ?? usualView(query);
  const view = asked in VIEWS ? asked : "results";
  const choose = (/** @type {string} */ id) => {
    const models = id === "results" ? undefined : route.value.query["models"];
    const next = new URLSearchParams({ view: id, ...(models ? { models } : {}) });
    navigate(`/evaluate?${next.toString().replaceAll("%2C", ",")}`);
  };
  const { content, says } = VIEWS[view];
  const start = () => h(Button, { kind: "primary", icon: "plus", onClick: () => choose("table") }, "New evaluation");
  return h("div", { class: "stack evaluate" },
    h(PageHeader, { title: "Evaluate", lead: "Did the model get better, and what did it forget?" },
      view === "results" && start()),
    h(Tabs, { label: "Evaluation types", tabs: Object.entries(VIEWS).map(([id, { title }]) => ({ id, title })),
      chosen: view, onChoose: choose },
      h("div", { class: "stack", key: view }, says && h("p", { class: "muted lead" }, says),
        h(content, view === "results" ? { start: start() } : {}))));
}

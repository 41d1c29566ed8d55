/** Evaluate: did the model get better, and what did it forget? */

import { Button } from "../components/elements.js";
import { PageHeader } from "../components/layout.js";
import { Tabs } from "../components/tabs.js";
import { h } from "../lib/preact.js";
import { navigate, route } from "../lib/router.js";
import { HeatView } from "./evaluate/heat_view.js";
import { MergeView } from "./evaluate/merge_view.js";
import { ResultsView } from "./evaluate/results_view.js";
import { QuestionsView } from "./evaluate/questions_view.js";
import { SuitesView } from "./evaluate/suites_view.js";
import { TableView } from "./evaluate/table_view.js";

/** @type {Record<string, {title: string, says: string, content: any}>} */
const VIEWS = {
  results: { title: "Results", content: ResultsView, says: "" },
  table: { title: "Table", content: TableView, says: "Models and checkpoints on held-out text. Bits per byte say how "
    + "many bits the model needs for a byte of text it has not seen: lower is better, and models with different "
    + "tokenizers compare." },
  heat: { title: "Heat map", content: HeatView,
    says: "A text token by token: where a checkpoint found it likelier than its base, and where it has forgotten." },
  suites: { title: "Prompt suites", content: SuitesView,
    says: "The same prompts, seed and sampler for model after model: what differs, the models made different." },
  merge: { title: "Merge back", content: MergeView, says: "Models between base and trained often keep most of what was "
    + "learnt and forget less. Measure a few, choose one, save it." },
  questions: { title: "Questions", content: QuestionsView,
    says: "Multiple-choice and cloze questions from a file, answered by likelihood." },
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
    h(Tabs, { label: "Ways to test", tabs: Object.entries(VIEWS).map(([id, { title }]) => ({ id, title })),
      chosen: view, onChoose: choose },
      h("div", { class: "stack", key: view }, says && h("p", { class: "muted lead" }, says),
        h(content, view === "results" ? { start: start() } : {}))));
}

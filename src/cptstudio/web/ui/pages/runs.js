/** Home: what is running, and all runs. */
import { Button, Problem, Select } from "../components/elements.js";
import { runsChanged, status } from "../lib/live.js";
import { h, withValue } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { setQuery } from "../lib/router.js";
import { ActiveRuns } from "./runs/active.js";
import { External } from "./runs/external.js";
import { chosenRuns, listQuery, RunList } from "./runs/list.js";
import { Queue } from "./runs/queue.js";

const STATES = [["", "All states"], ["active", "Running"], ["prepared", "Prepared"], ["completed", "Completed"],
  ["stopped", "Stopped"], ["failed", "Failed"], ["killed", "Killed"], ["lost", "Lost"]];

/** What the demo workspace holds: see `cptstudio/demo.py`. */
const DEMO = { model: "demo-base", corpus: "python-source", replay: "python-documentation", length: "200 steps" };

function FirstRun() {
  const { data } = useResource("/api/corpora");
  const names = (data?.corpora || []).map((/** @type {any} */ corpus) => corpus.name);
  const demo = names.includes(DEMO.corpus) && names.includes(DEMO.replay);
  return h("section", { class: "card stack first-run", "aria-labelledby": "first-title" },
    h("h2", { id: "first-title" }, "Three steps to a first run"),
    h("ol", { class: "steps" },
      h("li", {}, h("h3", {}, "Add your documents"),
        h("p", { class: "muted" },
          "A folder or files become a corpus: cleaned, without duplicates, with a part held out to measure on. ",
          h("a", { href: "/data" }, "Go to Data"))),
      h("li", {}, h("h3", {}, "Choose a model and a length"),
        h("p", { class: "muted" }, "The plan tells time, memory and disk before anything starts. ",
          h("a", { href: "/new" }, "Go to New run"))),
      h("li", {}, h("h3", {}, "Start, and watch both losses"), h("p", { class: "muted" }, "The run's page shows "
        + "whether the model learns your domain and what it forgets of everything else. Closing the page does not stop "
        + "a run."))),
    demo && h("p", { class: "row" },
      h(Button, { kind: "primary", icon: "play", href: `/new?${new URLSearchParams(DEMO)}` }, "Try the demo run"),
      h("span", { class: "muted" },
        "This is the demo workspace: a small model and two corpora are here, and the form is filled in.")));
}

function Toolbar() {
  const { filter, state, selected } = listQuery();
  return h("div", { class: "spread" },
    h("div", { class: "row" },
      h("input", { type: "search", class: "filter", placeholder: "Filter by name, tag, model, corpus",
        "aria-label": "Filter runs", value: filter,
        onInput: withValue((text) => setQuery({ filter: text })) }),
      h(Select, { "aria-label": "State", value: state, choices: STATES,
        onChoose: (name) => setQuery({ state: name }) })),
    h("div", { class: "row" },
      selected.length > 0 && h(Button, { kind: "quiet", onClick: () => setQuery({ select: null }) },
        "Clear the selection"),
      selected.length > 0 && h(Button, { href: `/compare?runs=${selected.join(",")}` },
        selected.length === 1 ? "Compare 1 run" : `Compare ${selected.length} runs`)));
}

export default function Runs() {
  const { data, error, reload } = useResource("/api/runs", undefined, runsChanged.value.count);
  if (!data) {
    return [
      h("h1", { key: "title" }, "Runs"),
      error ? h(Problem, { error, retry: reload, key: "error" }) : h("p", { class: "muted", "aria-busy": "true",
        key: "loading" }, "Loading the runs…"),
    ];
  }
  const all = [...data.runs, ...data.imported];
  // The status comes twice a second, the whole list only when something began or ended.
  const fresh = new Map((status.value?.active || []).map((/** @type {any} */ run) => [run.id, run]));
  const runs = all.map((run) => (fresh.has(run.id)
    ? { ...run, ...fresh.get(run.id), sparkline: run.sparkline, tags: run.tags }
    : run));
  return [
    h("div", { class: "page-head", key: "head" }, h("h1", {}, "Runs"),
      h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run")),
    error && h(Problem, { error, retry: reload, key: "error" }),
    all.length > 0 && h(ActiveRuns, { runs: runs.filter((run) => run.state.alive), key: "active" }),
    h(Queue, { key: "queue" }),
    all.length === 0 && h(FirstRun, { key: "first" }),
    all.length > 0 && h("section", { class: "stack", "aria-labelledby": "all-title", key: "all" },
      h("h2", { id: "all-title" }, "All runs ", h("span", { class: "muted" }, all.length)),
      h(Toolbar, {}),
      h("div", { class: "card card-table" }, h(RunList, { runs: chosenRuns(runs), pinned: data.pinned }))),
    h(External, { key: "external" }),
  ];
}

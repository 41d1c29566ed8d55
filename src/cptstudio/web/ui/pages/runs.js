/** Home: what is running, and all runs. */
import { Button, Problem, Select, StateBadge } from "../components/elements.js";
import { runsChanged, status } from "../lib/live.js";
import { h, withValue } from "../lib/preact.js";
import { useResource, useWork } from "../lib/resource.js";
import { setQuery } from "../lib/router.js";
import { External } from "./runs/external.js";
import { chosenRuns, listQuery, RunList } from "./runs/list.js";
import { Progress } from "../components/progress.js";
import { Sparkline } from "../components/sparkline.js";
import { ago, bits, bytes, change, duration, number, rate } from "../lib/format.js";
import { domainChange, generalChange, nameOf, stepOf } from "../lib/run_words.js";
import { toast, toastError } from "../components/announce.js";
import { del, post } from "../lib/api.js";

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

/** @param {{title: string, value: any, note?: any}} props */
function Figure({ title, value, note }) {
  return h("div", { class: "fact" }, h("dt", {}, title),
    h("dd", {}, value, note && h("span", { class: "fact-note" }, note)));
}

/** @param {{run: any}} props */
function ActiveRun({ run }) {
  return h("li", { class: "card active-run" },
    h("div", { class: "spread" }, h("h3", {}, h("a", { href: `/runs/${run.id}` }, nameOf(run))),
      h(StateBadge, { state: run.state, stalled: run.stalled })),
    h("div", { class: "active-progress" },
      h(Progress, { label: `${nameOf(run)}: steps`, done: run.step ?? 0, total: run.planned_steps, text: stepOf(run) }),
      h("p", { class: "spread figures" }, h("span", {}, `Step ${stepOf(run)}`),
        h("span", { class: "muted" }, run.remaining_seconds == null ? "" : `${duration(run.remaining_seconds)} left`))),
    h("dl", { class: "facts" },
      h(Figure, { title: "Loss", value: number(run.loss) }),
      h(Figure, { title: "Domain, bits per byte", value: bits(run.domain?.last),
        note: domainChange(run) != null && change(domainChange(run)) }),
      h(Figure, { title: "General, bits per byte", value: bits(run.general?.last),
        note: generalChange(run) != null && change(generalChange(run)) }),
      h(Figure, { title: "Speed", value: rate(run.tokens_per_second, "tokens") }),
      h(Figure, { title: "Memory", value: bytes(run.memory_process),
        note: run.memory_limit && `of ${bytes(run.memory_limit)}` })),
    h(Sparkline, { values: run.sparkline, label: `Course of the loss of ${nameOf(run)}`, stretch: true }));
}

/** What is running, first thing on the page. @param {{runs: any[]}} props */
function ActiveRuns({ runs }) {
  return h("section", { class: "stack", "aria-labelledby": "active-title" },
    h("h2", { id: "active-title" }, "Running now"),
    runs.length
      ? h("ul", { class: "active-list" }, runs.map((run) => h(ActiveRun, { run, key: run.id })))
      : h("p", { class: "muted" }, "No run of this workspace is training."));
}

/** Runs that wait for the active ones. Nothing is shown where none waits. */
function Queue() {
  const { busy, run } = useWork();
  const queue = status.value?.queue;
  if (!queue?.waiting?.length) return null;
  const act = (/** @type {() => Promise<any>} */ work, /** @type {string} */ done) =>
    run(() => work().then(() => toast(done), toastError));
  return h("section", { class: "card stack", "aria-labelledby": "queue-title" },
    h("div", { class: "spread" },
      h("h2", { id: "queue-title" }, `Queue: ${queue.waiting.length} waiting`),
      queue.paused
        ? h(Button, { kind: "primary", icon: "play", busy,
          onClick: () => act(() => post("/api/queue/continue", {}), "The queue goes on.") }, "Continue the queue")
        : h(Button, { icon: "pause", busy,
          onClick: () => act(() => post("/api/queue/pause", {}), "The queue is paused.") }, "Pause the queue")),
    h("p", { class: "muted" }, queue.paused
      ? "The queue is paused: nothing starts until you continue it. After a start of the server it always waits for "
        + "you."
      : "The next run starts as soon as no other run is training."),
    h("ol", { class: "queue-list" },
      queue.waiting.map((/** @type {any} */ item) =>
        h("li", { key: item.run },
          h("a", { href: `/runs/${item.run}` }, item.run),
          h("span", { class: "muted" }, `${item.resume != null ? "resumes, " : ""}added ${ago(item.added)}`),
          h(Button, {
            small: true, icon: "close", busy, "aria-label": `Take ${item.run} out of the queue`,
            onClick: () => act(() => del(`/api/queue/${item.run}`), `${item.run} is out of the queue.`),
          }, "Take out")))));
}

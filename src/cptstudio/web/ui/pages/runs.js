/** All runs, and those that wait. */
import { Button, Empty, Problem, Select } from "../components/elements.js";
import { PageHeader, Toolbar } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { freshRuns } from "../lib/fresh_runs.js";
import { runsChanged, status } from "../lib/live.js";
import { h, withValue } from "../lib/preact.js";
import { useResource, useWork } from "../lib/resource.js";
import { setQuery } from "../lib/router.js";
import { External } from "./runs/external.js";
import { chosenRuns, listQuery, RunList } from "./runs/list.js";
import { ago } from "../lib/format.js";
import { toast, toastError } from "../components/announce.js";
import { del, post } from "../lib/api.js";

const STATES = [["", "All states"], ["active", "Running"], ["prepared", "Prepared"], ["completed", "Completed"],
  ["stopped", "Stopped"], ["failed", "Failed"], ["killed", "Killed"], ["lost", "Lost"]];

function Choices() {
  const { filter, state, selected } = listQuery();
  return h(Toolbar, { label: "Which runs", end: selected.length > 0 && [
    h(Button, { kind: "quiet", onClick: () => setQuery({ select: null }), key: "clear" }, "Clear the selection"),
    h(Button, { href: `/compare?runs=${selected.join(",")}`, icon: "compare", key: "compare" },
      selected.length === 1 ? "Compare 1 run" : `Compare ${selected.length} runs`),
  ] },
    h("input", { type: "search", class: "filter", placeholder: "Filter by name, tag, model, corpus",
      "aria-label": "Filter runs", value: filter, onInput: withValue((text) => setQuery({ filter: text })) }),
    h(Select, { "aria-label": "State", value: state, choices: STATES,
      onChoose: (name) => setQuery({ state: name }) }));
}

function NoRuns() {
  return h(Empty, { title: "No runs yet", icon: "runs", ghost: "table",
    actions: h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run") },
    h("p", {}, "Each run will be a row here: its state, its loss as a small curve, and how much it learned and forgot. "
      + "Sort, filter and compare them."));
}

export default function Runs() {
  const { data, error, reload } = useResource("/api/runs", undefined, runsChanged.value.count);
  if (!data) {
    return [
      h(PageHeader, { title: "Runs", key: "head" }),
      error ? h(Problem, { error, retry: reload, key: "error" })
        : h(Skeleton, { label: "Loading the runs…", lines: 6, key: "loading" }),
    ];
  }
  const all = [...data.runs, ...data.imported];
  const runs = freshRuns(all);
  return [
    h(PageHeader, { title: "Runs", key: "head" },
      all.length > 0 && h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run")),
    error && h(Problem, { error, retry: reload, key: "error" }),
    h(Queue, { key: "queue" }),
    all.length === 0 && h(NoRuns, { key: "none" }),
    all.length > 0 && h("section", { class: "stack", "aria-labelledby": "all-title", key: "all" },
      h("h2", { id: "all-title" }, "All runs ", h("span", { class: "muted" }, all.length)),
      h(Choices, {}),
      h("div", { class: "card card-table" }, h(RunList, { runs: chosenRuns(runs), pinned: data.pinned }))),
    h(External, { key: "external" }),
  ];
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

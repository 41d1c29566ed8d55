/** All runs, and those that wait. */
import { Button, Empty, Problem } from "../components/elements.js";
import { Card, PageHeader } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { freshRuns } from "../lib/fresh_runs.js";
import { integer } from "../lib/format.js";
import { runsChanged, status } from "../lib/live.js";
import { h, useMemo } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { route } from "../lib/router.js";
import { Bulk } from "./runs/bulk.js";
import { Choices, chosenRuns, listQuery } from "./runs/choices.js";
import { External } from "./runs/external.js";
import { RunList } from "./runs/list.js";
import { Queue } from "./runs/queue.js";

function NoRuns() {
  return h(Empty, { title: "No runs yet", icon: "runs", ghost: "table",
    actions: h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run") },
    h("p", {}, "Each run will be a row here: its state, its loss as a small curve, and how much it learned and forgot. "
      + "Sort, filter and compare them."));
}

/** @param {{all: any[], pinned: string | null}} props */
function AllRuns({ all, pinned }) {
  const active = status.value?.active;
  const runs = useMemo(() => freshRuns(all), [all, active]);
  const chosen = useMemo(() => chosenRuns(runs), [runs, route.value.query]);
  const selected = new Set(listQuery().selected);
  const picked = selected.size ? runs.filter((run) => selected.has(run.id)) : [];
  return h("section", { class: "stack", "aria-labelledby": "all-title" },
    h("h2", { id: "all-title" }, "All runs ", h("span", { class: "muted" },
      chosen.length === runs.length ? integer(runs.length) : `${integer(chosen.length)} of ${integer(runs.length)}`)),
    h(Choices, { runs }),
    h(Bulk, { runs: picked }),
    h(Card, { flush: true, class: "card-table" }, h(RunList, { runs: chosen, pinned })));
}

export default function Runs() {
  const { data, error, reload } = useResource("/api/runs", undefined, runsChanged.value.count);
  const all = useMemo(() => data ? [...data.runs, ...data.imported] : [], [data]);
  if (!data) {
    return [
      h(PageHeader, { title: "Runs", key: "head" }),
      error ? h(Problem, { error, retry: reload, key: "error" })
        : h(Skeleton, { label: "Loading runs…", lines: 6, key: "loading" }),
    ];
  }
  return [
    h(PageHeader, { title: "Runs", key: "head" },
      all.length > 0 && h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run")),
    error && h(Problem, { error, retry: reload, key: "error" }),
    h(Queue, { key: "queue" }),
    all.length === 0 ? h(NoRuns, { key: "none" }) : h(AllRuns, { all, pinned: data.pinned, key: "all" }),
    h(External, { key: "external" }),
  ];
}

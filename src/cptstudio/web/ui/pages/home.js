/** Home: what is running, what came of the last runs, what to do next, the machine. */
import { Button, Problem } from "../components/elements.js";
import { PageHeader } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { freshRuns } from "../lib/fresh_runs.js";
import { runsChanged } from "../lib/live.js";
import { h } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { ActiveRuns } from "./home/active_runs.js";
import { FirstRun } from "./home/first_run.js";
import { LastRuns } from "./home/last_runs.js";
import { Machine } from "./home/machine.js";
import { NextSteps } from "./home/next_steps.js";
import { UnderWay } from "./home/under_way.js";

export default function Home() {
  const { data, error, reload } = useResource("/api/runs", undefined, runsChanged.value.count);
  const runs = data ? freshRuns([...data.runs, ...data.imported]) : [];
  return h("div", { class: "stack home" },
    h(PageHeader, { title: "Home",
      lead: data && runs.length === 0 && "Teach a language model your documents, on your own machine." },
      runs.length > 0 && h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run")),
    error && h(Problem, { error, retry: reload }),
    h(ActiveRuns, { runs: runs.filter((run) => run.state.alive) }),
    h("div", { class: "home-columns" },
      h("div", { class: "stack" },
        !data && !error && h(Skeleton, { label: "Loading runs…", kind: "cards" }),
        data && runs.length === 0 && h(FirstRun, {}),
        h(LastRuns, { runs })),
      h("div", { class: "stack" },
        h(UnderWay, {}),
        !data && !error && h(Skeleton, { label: "Loading…", kind: "cards", lines: 2 }),
        runs.length > 0 && h(NextSteps, { runs }),
        h(Machine, {}))));
}

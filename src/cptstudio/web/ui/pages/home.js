/** Home: what is running, what came of the last runs, what to do next. */
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

export default function Home() {
  const { data, error, reload } = useResource("/api/runs", undefined, runsChanged.value.count);
  const runs = data ? freshRuns([...data.runs, ...data.imported]) : [];
  return h("div", { class: "stack home" },
    h(PageHeader, { title: "Home" },
      data && runs.length > 0 && h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run")),
    error && h(Problem, { error, retry: reload }),
    !data && !error && h(Skeleton, { label: "Loading the runs…", kind: "cards" }),
    h(ActiveRuns, { runs: runs.filter((run) => run.state.alive) }),
    data && runs.length === 0 && h(FirstRun, {}),
    h(LastRuns, { runs }));
}

/** What is running, first thing on the page. */
import { StateBadge } from "../../components/elements.js";
import { Stat, Stats } from "../../components/figures.js";
import { Progress } from "../../components/progress.js";
import { Sparkline } from "../../components/sparkline.js";
import { bits, bytes, change, duration, number, rate } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf, stepOf } from "../../lib/run_words.js";

/** @param {{run: any}} props */
function ActiveRun({ run }) {
  return h("li", { class: "card active-run" },
    h("div", { class: "spread" }, h("h3", {}, h("a", { href: `/runs/${run.id}` }, nameOf(run))),
      h(StateBadge, { state: run.state, stalled: run.stalled })),
    h(Sparkline, { values: run.sparkline, label: `Course of the loss of ${nameOf(run)}`, stretch: true }),
    h("div", { class: "active-progress" },
      h(Progress, { label: `${nameOf(run)}: steps`, done: run.step ?? 0, total: run.planned_steps, text: stepOf(run) }),
      h("p", { class: "spread figures" }, h("span", {}, `Step ${stepOf(run)}`),
        h("span", { class: "muted" }, run.remaining_seconds == null ? "" : `${duration(run.remaining_seconds)} left`))),
    h(Stats, {},
      h(Stat, { title: "Loss", value: number(run.loss) }),
      h(Stat, { title: "Domain, bits per byte", value: bits(run.domain?.last),
        note: domainChange(run) != null && change(domainChange(run)) }),
      h(Stat, { title: "General, bits per byte", value: bits(run.general?.last),
        note: generalChange(run) != null && change(generalChange(run)) }),
      h(Stat, { title: "Speed", value: rate(run.tokens_per_second, "tokens") }),
      h(Stat, { title: "Memory", value: bytes(run.memory_process),
        note: run.memory_limit && `of ${bytes(run.memory_limit)}` })));
}

/** @param {{runs: any[]}} props */
export function ActiveRuns({ runs }) {
  if (!runs.length) return null;
  return h("section", { class: "stack", "aria-labelledby": "active-title" },
    h("h2", { id: "active-title" }, "Running now"),
    h("ul", { class: "active-list" }, runs.map((run) => h(ActiveRun, { run, key: run.id }))));
}

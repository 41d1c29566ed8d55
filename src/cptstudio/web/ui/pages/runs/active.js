import { StateBadge } from "../../components/elements.js";
import { Progress } from "../../components/progress.js";
import { Sparkline } from "../../components/sparkline.js";
import { bits, bytes, change, duration, number, rate } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf, stepOf } from "../../lib/run_words.js";

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
export function ActiveRuns({ runs }) {
  return h("section", { class: "stack", "aria-labelledby": "active-title" },
    h("h2", { id: "active-title" }, "Running now"),
    runs.length
      ? h("ul", { class: "active-list" }, runs.map((run) => h(ActiveRun, { run, key: run.id })))
      : h("p", { class: "muted" }, "No run of this workspace is training."));
}

/** What is running, first thing on the page. */
import { StateBadge } from "../../components/elements.js";
import { Progress } from "../../components/progress.js";
import { bits, bytes, change, count, duration, number, percent, rate } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf, stepOf } from "../../lib/run_words.js";
import { LiveCurve } from "./live_curve.js";

/** @param {{title: string, value: any, note?: any}} props */
function Figure({ title, value, note }) {
  return h("div", { class: "fact" }, h("dt", {}, title),
    h("dd", {}, value), note && h("dd", { class: "hint" }, note));
}

/** @param {number | null} value of bits per byte */
const changed = (value) => value != null && `${change(value)} so far`;

/** @param {{run: any}} props */
function ActiveRun({ run }) {
  const total = run.planned_steps;
  const phase = run.phase?.name !== "training" ? run.phase?.title : null;
  const left = run.remaining_seconds == null ? "" : `${duration(run.remaining_seconds)} left`;
  return h("li", { class: "card active-run" },
    h("div", { class: "active-words" },
      h("div", { class: "active-head" },
        h("h3", {}, h("a", { href: `/runs/${run.id}` }, nameOf(run))),
        h(StateBadge, { state: run.state, stalled: run.stalled })),
      h("p", { class: "muted break" }, [run.model?.name, run.method,
        (run.corpora || []).map((/** @type {any} */ corpus) => corpus.name).join(", ")].filter(Boolean).join(" · ")),
      h("div", { class: "active-progress" },
        h("p", { class: "spread figures" },
          h("span", {}, h("strong", {}, total ? percent((run.step ?? 0) / total) : `Step ${stepOf(run)}`),
            total && h("span", { class: "muted" }, ` · step ${stepOf(run)}`)),
          h("span", { class: "muted" }, phase || left)),
        h(Progress, { label: `${nameOf(run)}: steps`, done: run.step ?? 0, total, text: stepOf(run) })),
      h("dl", { class: "active-facts" },
        h(Figure, { title: "Loss", value: number(run.loss) }),
        h(Figure, { title: "Domain (bits/byte)", value: bits(run.domain?.last), note: changed(domainChange(run)) }),
        h(Figure, { title: "General (bits/byte)", value: bits(run.general?.last), note: changed(generalChange(run)) }),
        h(Figure, { title: "Throughput", value: rate(run.tokens_per_second, "tokens") }),
        h(Figure, { title: "Tokens seen", value: count(run.tokens_seen) }),
        h(Figure, { title: "Memory", value: bytes(run.memory_process) }))),
    h(LiveCurve, { run, key: run.id }));
}

/** @param {{runs: any[]}} props */
export function ActiveRuns({ runs }) {
  if (!runs.length) return null;
  return h("section", { class: "stack", "aria-labelledby": "active-title" },
    h("h2", { id: "active-title" }, "Active runs"),
    h("ul", { class: "active-list" }, runs.map((run) => h(ActiveRun, { run, key: run.id }))));
}

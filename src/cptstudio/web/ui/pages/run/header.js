import { Button, StateBadge } from "../../components/elements.js";
import { Progress } from "../../components/progress.js";
import { RunVerdict } from "../../components/verdict.js";
import { bits, bytes, change, count, date, duration, integer, number, percent, rate } from "../../lib/format.js";
import { isOn, permission, supported, toggle } from "../../lib/notifications.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf, reasonOf, stepOf } from "../../lib/run_words.js";
import { Phase } from "./phase.js";
import { testLinks } from "./test_links.js";

/** @param {{title: string, value: any, note?: any}} props */
function Fact({ title, value, note }) {
  return h("div", { class: "fact" }, h("dt", {}, title),
    h("dd", {}, value, note && h("span", { class: "fact-note" }, note)));
}

/** When it began, ended, or how long it has to go. @param {any} run */
function timeFact(run) {
  if (run.state.alive) {
    return h(Fact, { title: "Time left", value: duration(run.remaining_seconds),
      note: run.started ? `started ${date(run.started)}` : null });
  }
  if (run.ended) return h(Fact, { title: "Ended", value: date(run.ended) });
  return run.updated
    ? h(Fact, { title: "Last update", value: date(run.updated) })
    : h(Fact, { title: "Created", value: date(run.created) });
}

/** @param {any} run */
function memoryFact(run) {
  const share = run.memory_process != null && run.memory_limit ? run.memory_process / run.memory_limit : null;
  return h(Fact, { title: "Memory", value: bytes(run.memory_process),
    note: share == null ? null : `${percent(share)} of ${bytes(run.memory_limit)}` });
}

/** Turns the browser's word at a run's end on and off. */
function NotifyButton() {
  if (!supported) return null;
  const refused = permission.value === "denied";
  const on = isOn();
  const words = refused ? "Notifications are blocked in your browser settings"
    : on ? "Don't notify me when a run ends" : "Notify me when a run ends";
  return h(Button, { kind: "quiet", icon: "bell", "aria-label": words, title: words, disabled: refused,
    "aria-pressed": on ? "true" : "false", onClick: () => void toggle() });
}

/** The runs whose checkpoints led to this one, as one line. @param {{run: any}} props */
function Lineage({ run }) {
  const stages = /** @type {any[]} */ (run.stages ?? []);
  if (!stages.length) return null;
  const last = stages[stages.length - 1];
  return [
    h("p", { key: "line", class: "break" }, `Stage ${stages.length + 1} of a lineage: `, stages[0].model,
      stages.map((one) => [" → ", one.there
        ? h("a", { key: one.run, href: `/runs/${one.run}` }, one.run) : h("s", { key: one.run }, one.run),
        ` at ${one.checkpoint} (${one.corpora.join(", ")})`]), " → this run"),
    !last.there && h("div", { key: "gone", class: "notice notice-warn" }, h("div", {},
      `The checkpoint ${last.checkpoint} of ${last.run}, which this run began with, was deleted. This run can't be `
      + "resumed or forked without it; its complete checkpoints go on working.")),
  ];
}

/** Is it alive, does it improve, when is it done, will memory hold. @param {{run: any, actions: any}} props */
export function RunHeader({ run, actions }) {
  const total = run.planned_steps;
  const tested = run.checkpoints?.find((/** @type {any} */ one) => one.best) ?? run.checkpoints?.at(-1);
  return h("header", { class: "run-head" },
    h("div", { class: "spread" },
      h("div", { class: "run-title" }, h("h1", {}, nameOf(run)),
        run.kind === "run" && h(StateBadge, { state: run.state, stalled: run.stalled, queued: run.queue_position })),
      h("div", { class: "run-actions run-head-actions" }, actions,
        run.kind === "run" && (run.state.alive || run.state.name === "prepared") && h(NotifyButton, {}))),
    h("p", { class: "muted break" },
      [run.model?.name, run.method && `${run.method} training`,
        (run.corpora || []).map((/** @type {any} */ corpus) => `${corpus.name} (${corpus.role})`)
          .join(", ")].filter(Boolean).join(" · "),
      run.parent && [" · forked from ", h("a", { href: `/runs/${run.parent.run}`, key: "parent" }, run.parent.run),
        ` at ${run.parent.checkpoint}`]),
    h(Lineage, { run }),
    run.kind === "run" && !run.state.alive && run.state.reason
      && h("p", { class: "break" }, reasonOf(run.state.reason)),
    run.kind === "imported" && h("div", { class: "notice" }, h("div", {}, "Imported from another program",
      run.source ? ` (${run.source})` : "", ". Read-only: CPT Studio never changes its files.")),
    (run.problems || []).length > 0 && h("div", { class: "notice notice-warn" },
      h("div", {}, run.problems.map((/** @type {string} */ problem) => h("p", { key: problem }, problem)))),
    run.kind === "run" && run.state.alive && h(Phase, { run }),
    total != null && !run.phase?.preparing && (run.state.alive || (run.step ?? 0) < total)
      && h("div", { class: "run-progress" },
      h(Progress, { label: "Steps", done: run.step ?? 0, total, text: stepOf(run) })),
    h(RunVerdict, { run, merge: tested && testLinks(run, tested.name).merge }),
    h("dl", { class: "facts" },
      h(Fact, { title: "Step", value: stepOf(run),
        note: total && run.step != null ? percent(run.step / total) : null }),
      timeFact(run),
      run.trained_seconds != null && h(Fact, { title: "Training time", value: duration(run.trained_seconds),
        note: run.sessions > 1 && `${integer(run.sessions)} sessions` }),
      h(Fact, { title: "Loss", value: number(run.loss) }),
      h(Fact, { title: "Domain validation", value: bits(run.domain?.last),
        note: domainChange(run) != null && `bits/byte, ${change(domainChange(run))} since the start` }),
      h(Fact, { title: "General validation", value: bits(run.general?.last),
        note: generalChange(run) != null && `bits/byte, ${change(generalChange(run))} since the start` }),
      h(Fact, { title: "Best domain validation", value: bits(run.domain?.best),
        note: run.domain?.best_step != null && `step ${integer(run.domain.best_step)}` }),
      h(Fact, { title: "Tokens seen", value: count(run.tokens_seen),
        note: run.tokens_per_second != null && rate(run.tokens_per_second, "tokens") }),
      memoryFact(run),
      run.skipped_steps > 0 && h(Fact, { title: "Skipped steps", value: integer(run.skipped_steps),
        note: "loss spikes; see Events" })));
}

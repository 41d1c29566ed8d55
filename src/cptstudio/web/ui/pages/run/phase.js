import { amounts, Progress } from "../../components/progress.js";
import { duration } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/** What a run's session did before its first step, and how long each took. @param {any} run */
function done(run) {
  /** @type {any[]} */
  const found = [];
  for (const one of run.phases || []) {
    if (!one.preparing) break;
    const former = found.find((other) => other.name === one.name);
    if (former) former.seconds = (former.seconds ?? 0) + (one.seconds ?? 0);
    else found.push({ ...one });
  }
  return found.filter((one) => one.name !== run.phase?.name);
}

/** What the trainer does now and how far it is; before the first step also what it did. @param {{run: any}} props */
export function Phase({ run }) {
  const phase = run.phase;
  if (!phase) return null;
  const told = amounts(phase);
  const waiting = phase.name === "training" && (run.step ?? 0) <= phase.step;
  const words = waiting ? `Training: waiting for step ${phase.step + 1}` : phase.title;
  const counted = phase.total != null;
  return h("div", { class: "run-phase", role: "group", "aria-label": "Phase" },
    phase.preparing && done(run).length > 0 && h("ol", { class: "run-phases-past" },
      done(run).map((one) => h("li", { key: one.name }, one.title,
        one.seconds != null && h("span", { class: "muted" }, ` ${duration(one.seconds)}`)))),
    h("p", { class: "run-phase-now" }, h("strong", {}, words),
      told ? h("span", { class: "muted" }, ` · ${told}`) : null,
      phase.saving && h("span", { class: "muted" }, ` · saving ${phase.saving} meanwhile`)),
    (counted || phase.name !== "training")
      && h(Progress, { label: words, done: phase.done, total: phase.total, text: told }));
}

import { amounts, Progress } from "../../components/progress.js";
import { duration, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/** Why one waits for it. @type {Record<string, string>} */
const REASONS = {
  starting: "Loading the training libraries.",
  checking: "Verifying that the model and corpora haven't changed since the run was created.",
  loading: "Reading the model's weights into memory.",
  restoring: "Restoring weights and optimizer state exactly.",
  baseline: "Measuring the model before training, so you can see what changes.",
};

/** The way to the first step, each phase once. @param {any} run */
function wayOf(run) {
  /** @type {any[]} */
  const way = [];
  for (const one of run.phases || []) {
    const last = way[way.length - 1];
    if (last?.name === one.name) last.seconds = (last.seconds ?? 0) + (one.seconds ?? 0);
    else way.push({ ...one });
  }
  return run.phase.name === "starting" ? [{ ...run.phase, began: 1 }, ...way] : way;
}

/** What comes before the first step: what is done, what is under way, what is to come. @param {{run: any}} props */
function Way({ run }) {
  return h("ol", { class: "run-way", "aria-label": "Before the first step" }, wayOf(run).map((one) => {
    const now = one.name === run.phase.name;
    const kind = now ? "now" : one.began == null ? "next" : "done";
    return h("li", { key: one.name, class: `run-way-${kind}`, "aria-current": now ? "step" : undefined },
      one.title, kind === "done" && one.seconds != null && h("span", { class: "muted" }, ` ${duration(one.seconds)}`));
  }));
}

/** What the trainer does now and how far it is. @param {{run: any}} props */
export function Phase({ run }) {
  const { phase } = run;
  if (!phase) return null;
  const told = amounts(phase);
  const waiting = phase.name === "training" && (run.step ?? 0) <= phase.step;
  const first = phase.step ? `Training: waiting for step ${integer(phase.step + 1)}…` : "Waiting for the first step…";
  const words = waiting ? first : phase.title;
  return h("div", { class: `run-phase${phase.preparing ? " card" : ""}`, role: "group", "aria-label": "Phase" },
    phase.preparing && h(Way, { run }),
    h("p", { class: "run-phase-now" }, h("strong", {}, words),
      told ? h("span", { class: "muted figures" }, ` · ${told}`) : null,
      phase.saving && h("span", { class: "muted" }, ` · saving ${phase.saving} in the background`)),
    phase.name !== "training" && h(Progress, { label: words, done: phase.done, total: phase.total, text: told }),
    phase.preparing && REASONS[phase.name] && h("p", { class: "hint" }, REASONS[phase.name]));
}

/** What the run will be: the plan as the settings are typed. */

import { h } from "../../lib/preact.js";
import { bytes, count, integer } from "../../lib/format.js";
import { Problem } from "../../components/elements.js";
import { Calibration } from "./calibration.js";
import { PlannedMachine } from "./planned_machine.js";
import { otherProblems, shownProblems, stillNeeded } from "./problems.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./form.js").Facts} Facts */

/** @param {{form: NewRunForm}} props */
export function SidePanel({ form }) {
  const plan = form.plan.value;
  const needed = stillNeeded(form);
  const others = otherProblems(form);
  return h("aside", { class: "plan", "aria-labelledby": "plan-title",
    "aria-busy": form.planning.value ? "true" : "false" },
    h("div", { class: "plan-head" },
      h("h2", { id: "plan-title" }, "Plan"),
      h("span", { class: "plan-state" }, form.planning.value ? "Working it out…" : "")),
    form.planError.value !== null && h(Problem, { error: form.planError.value }),
    plan?.facts
      ? h(PlanFacts, { form, facts: plan.facts })
      : h("p", { class: "plan-empty" }, needed.length > 0
          ? `Choose ${needed.join(" and ")}, and the plan appears here: tokens, time, memory and disk.`
          : plan === null || (others.length === 0 && shownProblems(form).length === 0)
            ? ""
            : "There is no plan while the problems below or at the fields are open."),
    needed.length === 0 && h(OtherProblems, { sentences: others }),
    needed.length === 0 && h(PlannedMachine, { form }),
    plan !== null && plan.warnings.length > 0 && h("section", { class: "plan-warnings",
      "aria-labelledby": "plan-warnings-title" },
      h("h3", { id: "plan-warnings-title" },
        plan.warnings.length === 1 ? "One thing to consider" : `${plan.warnings.length} things to consider`),
      h("ul", {}, plan.warnings.map((warning) => h("li", { key: warning }, warning)))));
}

/** @param {{sentences: readonly string[]}} props */
function OtherProblems({ sentences }) {
  if (sentences.length === 0) return null;
  return h("ul", { class: "plan-problems field-problem" },
    sentences.map((sentence) => h("li", { key: sentence }, sentence)));
}

/** @param {{form: NewRunForm, facts: Facts}} props */
function PlanFacts({ form, facts }) {
  const problems = form.plan.value?.findings.length ?? 0;
  return h("div", { class: form.planning.value ? "plan-facts plan-old" : "plan-facts" },
    h("dl", {},
      fact("Steps", integer(facts.steps)),
      fact("Tokens", `${integer(facts.tokens)}, ${integer(facts.tokens_per_step)} a step`),
      fact("Epochs", `${facts.epochs.toFixed(2)} of ${integer(facts.tokens_per_epoch)} tokens`),
      fact("Trained", `${count(facts.trained_parameters)} of ${count(facts.parameters)} parameters`),
      facts.not_loaded_bytes > 0
        && fact("Not loaded", `${bytes(facts.not_loaded_bytes)} of the model's files, such as a vision tower`),
      fact("Evaluated", `every ${integer(facts.evaluate_every_steps)} steps`),
      fact("Saved", `every ${integer(facts.save_every_steps)} steps, ${bytes(facts.checkpoint_bytes)} each, `
        + (facts.saves_in_background ? "while training goes on" : "while training waits"))),
    h(Share, { title: "Memory", used: facts.memory_bytes, total: facts.memory_available_bytes,
      of: facts.machine === null ? "of this machine's" : `on ${facts.machine}, of` }),
    facts.disk_free_bytes === null
      ? h("dl", {}, fact("Disk", `about ${bytes(facts.disk_needed_bytes)}`))
      : h(Share, { title: "Disk", used: facts.disk_needed_bytes, total: facts.disk_free_bytes, of: "of the free" }),
    problems === 0 && facts.machine === null && h(Calibration, { form, facts }));
}

/** @param {string} title @param {string} text */
function fact(title, text) {
  return h("div", { class: "plan-fact" }, h("dt", {}, title), h("dd", {}, text));
}

/**
 * A share of something limited, as words and as a bar.
 * @param {{title: string, used: number, total: number, of: string}} props
 */
function Share({ title, used, total, of }) {
  const share = total > 0 ? used / total : 1;
  const judgement = share > 1 ? "too much" : share > 0.8 ? "tight" : "fits";
  return h("div", { class: `plan-share plan-share-${judgement.replace(" ", "-")}` },
    h("div", { class: "plan-share-words" },
      h("span", { class: "plan-share-title" }, title),
      h("span", {}, `about ${bytes(used)} ${of} ${bytes(total)}`),
      h("span", { class: "plan-judgement" }, judgement)),
    h("svg", { class: "share-bar", "aria-hidden": "true", viewBox: "0 0 100 8", preserveAspectRatio: "none" },
      h("rect", { width: Math.min(100, Math.max(1, 100 * share)), height: 8 })));
}

/** What the run will be: the plan as the settings are typed. */

import { h } from "../../lib/preact.js";
import { bytes, count, integer } from "../../lib/format.js";
import { AnswerEnds } from "../../components/answer_ends.js";
import { Problem } from "../../components/elements.js";
import { Calibration } from "./calibration.js";
import { goTo, settingOf } from "./go_to.js";
import { Choices, MakeItFit } from "./make_it_fit.js";
import { epochsWords, judge, judgementWords, memoryJudgement } from "./plan_words.js";
import { PlannedMachine } from "./planned_machine.js";
import { otherProblems, shownProblems, stillNeeded } from "./problems.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./form.js").Facts} Facts */
/** @typedef {import("./form.js").Finding} Finding */

/** @param {{form: NewRunForm}} props */
export function PlanPanel({ form }) {
  const plan = form.plan.value;
  const needed = stillNeeded(form);
  const others = otherProblems(form);
  const blocked = plan !== null && (others.length > 0 || shownProblems(form).length > 0);
  return h("section", { class: "plan", "aria-labelledby": "plan-title",
    "aria-busy": form.planning.value ? "true" : "false" },
    h("div", { class: "plan-head" },
      h("h3", { id: "plan-title" }, "Plan"),
      h("span", { class: "plan-state" }, form.planning.value ? "Calculating…" : "")),
    form.planError.value !== null && h(Problem, { error: form.planError.value }),
    plan?.facts
      ? h(PlanFacts, { form, facts: plan.facts })
      : h("p", { class: "plan-empty" }, needed.length > 0
          ? `Choose ${needed.join(" and ")} to see tokens, time, memory, and disk space.`
          : blocked ? "Fix the problems above to see the plan." : ""),
    needed.length === 0 && h(OtherProblems, { sentences: others }),
    h(MakeItFit, { form }),
    h(Warnings, { form, warnings: plan?.warnings ?? [] }),
    h(Choices, { form }),
    needed.length === 0 && h(PlannedMachine, { form }));
}

/** @param {{sentences: readonly string[]}} props */
function OtherProblems({ sentences }) {
  if (sentences.length === 0) return null;
  return h("ul", { class: "plan-problems field-problem" },
    sentences.map((sentence) => h("li", { key: sentence }, sentence)));
}

/** @param {{form: NewRunForm, warnings: readonly Finding[]}} props */
function Warnings({ form, warnings }) {
  if (warnings.length === 0) return null;
  return h("section", { class: "plan-warnings", "aria-labelledby": "plan-warnings" },
    h("h3", { id: "plan-warnings", tabIndex: -1 }, warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`),
    h("ul", {}, warnings.map(({ sentence, field }) => {
      const setting = field === "" ? undefined : settingOf(form, field);
      return h("li", { key: sentence }, sentence, setting && [" ",
        h("button", { key: "go", type: "button", class: "link", onClick: () => goTo(form, field) },
          `Go to ${setting.title}`)]);
    })));
}

/** @param {{form: NewRunForm, facts: Facts}} props */
function PlanFacts({ form, facts }) {
  const problems = form.plan.value?.findings.length ?? 0;
  const evaluations = Math.max(1, Math.ceil(facts.steps / facts.evaluate_every_steps));
  return h("div", { class: form.planning.value ? "plan-facts plan-old" : "plan-facts" },
    problems === 0 && facts.machine === null && h(Calibration, { form, facts }),
    h(Memory, { facts }),
    h(Disk, { facts }),
    h("dl", {},
      fact("Steps", integer(facts.steps)),
      fact("Tokens", `${integer(facts.tokens)}, ${integer(facts.tokens_per_step)} per step`),
      fact("Epochs", `${epochsWords(facts.epochs)} of ${integer(facts.tokens_per_epoch)} tokens`),
      fact("Trainable", `${count(facts.trained_parameters)} of ${count(facts.parameters)} parameters`),
      facts.attention !== null && fact("Attention", facts.attention),
      fact("Answers end at", h(AnswerEnds, { label: String(form.values.value["model.path"] ?? "") })),
      facts.not_loaded_bytes > 0
        && fact("Not loaded", `${bytes(facts.not_loaded_bytes)} of the model's files, such as a vision tower`),
      fact("Evaluation", `${every(facts.evaluate_every_steps)}, ${evaluations === 1 ? "once"
        : `about ${integer(evaluations)} times`}; `
        + `adds ${(100 * facts.evaluation_part).toLocaleString(
          "en", { maximumSignificantDigits: 2 })}% to training time`),
      fact("Checkpoints", `${every(facts.save_every_steps)}, ${bytes(facts.checkpoint_bytes)} each, `
        + (facts.saves_in_background ? "while training continues" : "while training waits"))));
}

/** @param {number} steps */
const every = (steps) => (steps === 1 ? "every step" : `every ${integer(steps)} steps`);

/** @param {string} title @param {any} text */
function fact(title, text) {
  return h("div", { class: "plan-fact" }, h("dt", {}, title), h("dd", {}, text));
}

/** Memory by its parts, held against the machine's. @param {{facts: Facts}} props */
function Memory({ facts }) {
  const { memory_parts: parts, memory_available_bytes: total } = facts;
  return h(Share, { title: "Memory", used: facts.memory_bytes, total, judgement: memoryJudgement(facts),
    of: facts.machine === null ? "of" : `on ${facts.machine}, of`,
    parts: [
      ["Weights", parts.weights], ["Optimizer", parts.optimizer], ["Gradients", parts.gradients],
      ["Activations", parts.activations],
    ] });
}

/** @param {{facts: Facts}} props */
function Disk({ facts }) {
  return facts.disk_free_bytes === null
    ? h("dl", {}, fact("Disk", `about ${bytes(facts.disk_needed_bytes)}`))
    : h(Share, { title: "Disk", used: facts.disk_needed_bytes, total: facts.disk_free_bytes, of: "of the free",
      judgement: judge(facts.disk_needed_bytes, facts.disk_free_bytes),
      parts: [["", facts.disk_needed_bytes]] });
}

/**
 * A share of something limited, as words and as a bar.
 * @param {{title: string, used: number, total: number, of: string, parts: [string, number][],
 *   judgement: import("./plan_words.js").Judgement}} props
 */
function Share({ title, used, total, of, parts, judgement }) {
  const scale = 100 / Math.max(used, total, 1);
  let before = 0;
  const shown = parts.filter(([, size]) => size > 0).map(([name, size], index) => {
    const place = { name, size, index, left: before, width: size * scale };
    before += place.width;
    return place;
  });
  return h("div", { class: `plan-share plan-share-${judgement}` },
    h("div", { class: "plan-share-words" },
      h("span", { class: "plan-share-title" }, title),
      h("span", {}, `about ${bytes(used)} ${of} ${bytes(total)}`),
      h("span", { class: `judgement judgement-${judgement}` }, judgementWords(judgement))),
    h("svg", { class: "share-bar", "aria-hidden": "true", viewBox: "0 0 100 8", preserveAspectRatio: "none" },
      shown.map(({ name, index, left, width }) => h("rect", { key: name, class: `share-part share-part-${index + 1}`,
        x: left, width: Math.max(width, 0.4), height: 8 })),
      used > total && h("rect", { class: "share-limit", x: total * scale - 0.4, width: 0.8, height: 8 })),
    parts.length > 1 && h("ul", { class: "share-legend" }, shown.map(({ name, size, index }) =>
      h("li", { key: name, class: `share-key share-key-${index + 1}` }, `${name} ${bytes(size)}`))));
}

/** What is always in view: the plan in a line, the way through the steps, Start and the queue. */

import { status } from "../../lib/live.js";
import { h, useState } from "../../lib/preact.js";
import { Button, Problem } from "../../components/elements.js";
import { navigate } from "../../lib/router.js";
import { startAsking } from "../../components/start_asking.js";
import { goTo, showStep } from "./go_to.js";
import { judgementWords, shortPlan } from "./plan_words.js";
import { controlId, shownProblems, stillNeeded } from "./problems.js";
import { problemWithName } from "./run_name.js";
import { isComplete, neighbour, STEPS } from "./steps.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./steps.js").StepId} StepId */

/** @param {{form: NewRunForm, showProblems: () => void, step: StepId|null}} props step: null where all are shown */
export function StartBar({ form, showProblems, step }) {
  const [busy, setBusy] = useState(/** @type {""|"start"|"queue"} */ (""));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const obstacle = obstacleOf(form);

  /** @param {boolean} queue */
  const start = async (queue) => {
    form.attempted.value = true;
    setError(null);
    if (form.planning.value) {
      // The click came before the plan of what was typed last.
      setBusy(queue ? "queue" : "start");
      if (!(await form.planned())) return;
    }
    if (obstacleOf(form) !== "") {
      setBusy("");
      if (problemWithName(form) !== "" && shownProblems(form).length === 0) goTo(form, "name");
      else showProblems();
      return;
    }
    setBusy(queue ? "queue" : "start");
    try {
      const name = form.name.value;
      const run = form.fork
        ? await startAsking(`/api/runs/${encodeURIComponent(form.origin.from ?? "")}/fork`,
            { checkpoint: form.origin.checkpoint, name, changes: form.changes(), queue })
        : await startAsking("/api/runs", { name, settings: form.tree(), queue });
      if (run === null) {
        setBusy("");
        return;
      }
      form.forget();
      navigate(`/runs/${encodeURIComponent(run.id)}`);
    } catch (problem) {
      setError(problem);
      setBusy("");
    }
  };
  const last = step === null || step === "review";
  return h("section", { class: "start-bar", "aria-label": "Plan and start" },
    error !== null && h("div", { class: "start-error" }, h(Problem, { error })),
    h(ShortPlan, { form }),
    h("p", { id: "start-note", class: obstacle === "" ? "start-note hint" : "start-note start-obstacle" },
      obstacle || noteOn(status.value, last)),
    h("div", { class: "start-actions" },
      step !== null && h(StepButtons, { form, step }),
      h(Button, { "data-last": last ? "true" : "false", disabled: busy !== "", "aria-describedby": "start-note",
        onClick: () => start(true) }, busy === "queue" ? "Adding…" : "Add to queue"),
      h(Button, { kind: last ? "primary" : "plain", icon: "play", disabled: busy !== "",
        "aria-describedby": "start-note",
        onClick: () => start(false) }, busy === "start" ? "Starting…" : form.fork ? "Start fork" : "Start")));
}

/** @param {{form: NewRunForm, step: StepId}} props */
function StepButtons({ form, step }) {
  const before = neighbour(step, -1);
  const after = neighbour(step, 1);
  const next = () => {
    form.left.value = new Set([...form.left.value, step]);
    if (after !== null && isComplete(step, form.values.value)) return showStep(after);
    document.getElementById(controlId(step === "data" ? "data.corpora" : "model.path"))?.focus();
  };
  const titleOf = (/** @type {StepId} */ id) => STEPS.find((one) => one.id === id)?.title;
  return [
    before && h(Button, { key: "back", "aria-label": `Back: ${titleOf(before)}`, onClick: () => showStep(before) },
      "Back"),
    after && h(Button, { key: "next", kind: "primary", onClick: next }, `Next: ${titleOf(after)}`),
  ];
}

/** @param {{form: NewRunForm}} props */
function ShortPlan({ form }) {
  const facts = form.plan.value?.facts ?? null;
  const warnings = form.plan.value?.warnings.length ?? 0;
  if (facts === null) return h("p", { class: "short-plan short-plan-empty" }, form.name.value);
  return h("div", { class: `short-plan${form.planning.value ? " plan-old" : ""}`,
    "aria-busy": form.planning.value ? "true" : "false" },
    h("dl", {}, shortPlan(facts, form.perStep.value).map(({ title, text, judgement, minor }) =>
      h("div", { key: title, class: minor ? "short-fact short-fact-minor" : "short-fact" },
        h("dt", {}, title),
        h("dd", {}, text, " ", judgement && h("span", { class: `judgement judgement-${judgement}` },
          judgementWords(judgement)))))),
    form.plan.value?.make_it_fit && h(Button, { small: true, icon: "bolt", onClick: () => goTo(form, "fit") },
      "Make it fit…"),
    warnings > 0 && h("button", { type: "button", class: "link short-warnings", onClick: () => goTo(form, "warnings") },
      warnings === 1 ? "1 warning" : `${warnings} warnings`));
}

/** What Start will do. @param {any} now the studio's status, null while unknown @param {boolean} last step */
function noteOn(now, last) {
  const active = /** @type {{id: string}[]} */ (now?.active ?? []).map((run) => run.id);
  if (active.length === 0) {
    return last && "Training starts immediately and continues if you close this page or stop the server.";
  }
  return `${active.map((one) => `“${one}”`).join(", ")} is training. Add this run to the queue to start it next.`;
}

/** Why the run cannot be started now, as a sentence; "" when it can. @param {NewRunForm} form */
function obstacleOf(form) {
  const needed = stillNeeded(form);
  if (needed.length > 0) return `Choose ${needed.join(" and ")} to start.`;
  if (problemWithName(form) !== "") return "Choose another name to start.";
  if (form.planError.value !== null && form.plan.value === null) return "Couldn't calculate the plan.";
  const plan = form.plan.value;
  if (plan === null) return "Calculating…";
  const count = Math.max(plan.findings.length, shownProblems(form).length);
  if (count > 0 && form.planning.value) return "Calculating…";
  if (count > 0) return count === 1 ? "Fix 1 problem to start." : `Fix ${count} problems to start.`;
  return "";
}

/** Name, Start and queue. */

import { status } from "../../lib/live.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { Button, Problem } from "../../components/elements.js";
import { navigate } from "../../lib/router.js";
import { startAsking } from "../../components/start_asking.js";
import { shownProblems, stillNeeded } from "./problems.js";
import { nameProblem } from "../../lib/names.js";
import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** @param {{form: NewRunForm, showProblems: () => void}} props */
export function StartBar({ form, showProblems }) {
  const [busy, setBusy] = useState(/** @type {""|"start"|"queue"} */ (""));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const nameProblem = problemWithName(form);
  const obstacle = obstacleOf(form, nameProblem);

  /** @param {boolean} queue */
  const start = async (queue) => {
    form.attempted.value = true;
    setError(null);
    if (form.planning.value) {
      // The click came before the plan of what was typed last.
      setBusy(queue ? "queue" : "start");
      if (!(await form.planned())) return;
    }
    if (obstacleOf(form, problemWithName(form)) !== "") {
      setBusy("");
      showProblems();
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
  return h("section", { class: "start-bar", "aria-label": "Start" },
    h("div", { class: "start-name" },
      h("label", { for: "run-name" }, "Name of the run"),
      h("input", { id: "run-name", type: "text", autocomplete: "off", spellcheck: false, maxLength: 64,
        value: form.name.value,
        "aria-describedby": "run-name-help", "aria-invalid": nameProblem === "" ? undefined : "true",
        onInput: withValue((text) => form.rename(text)) }),
      h("p", { id: "run-name-help", class: nameProblem === "" ? "hint" : "field-problem" },
        nameProblem || "Also the name of its folder under models/cpt/.")),
    h("div", { class: "start-actions" },
      h(Button, { kind: "primary", disabled: busy !== "", "aria-describedby": "start-note",
        onClick: () => start(false) }, busy === "start" ? "Starting…" : form.fork ? "Start the fork" : "Start"),
      h(Button, { disabled: busy !== "", "aria-describedby": "start-note",
        onClick: () => start(true) }, busy === "queue" ? "Putting…" : "Put into the queue"),
      h("p", { id: "start-note", class: obstacle === "" ? "hint" : "start-obstacle" },
        obstacle || noteOn(status.value))),
    error !== null && h("div", { class: "start-error" }, h(Problem, { error })));
}

/** What Start will do. @param {any} now the studio's status, null while unknown */
function noteOn(now) {
  const active = /** @type {{id: string}[]} */ (now?.active ?? []).map((run) => run.id);
  if (active.length === 0) return "Training begins at once and goes on when this page or the server is closed.";
  return `${active.join(", ")} is training now. Put this run into the queue: it starts when that one has ended.`;
}

/** @param {NewRunForm} form */
function problemWithName(form) {
  const name = form.name.value;
  const wrong = nameProblem(name, "run");
  if (wrong !== "") return wrong;
  if (form.takenNames.value.has(name)) return `There is a run named ${name} already. Choose another name.`;
  return "";
}

/**
 * Why the run cannot be started now, as a sentence; "" when it can.
 * @param {NewRunForm} form @param {string} nameProblem
 */
function obstacleOf(form, nameProblem) {
  const needed = stillNeeded(form);
  if (needed.length > 0) return `Still needed: ${needed.join(" and ")}.`;
  if (corporaOf(form.values.value).some((use) => use.name === "")) {
    return "Choose a corpus in the empty row, or remove it.";
  }
  if (nameProblem !== "") return "The name needs a change.";
  if (form.planError.value !== null && form.plan.value === null) return "The plan could not be made, see there.";
  const plan = form.plan.value;
  if (plan === null) return "The plan is being worked out.";
  const count = Math.max(plan.findings.length, shownProblems(form).length);
  if (count > 0 && form.planning.value) return "The plan is being worked out.";
  if (count > 0) return count === 1 ? "One problem must be solved first." : `${count} problems must be solved first.`;
  return "";
}

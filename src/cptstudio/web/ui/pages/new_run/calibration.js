/** How long the run takes: measured by a few real steps, when asked. */

import { post } from "../../lib/api.js";
import { duration } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { Button } from "../../components/button.js";
import { Problem } from "../../components/problem.js";
import { JobProgress } from "../../components/progress.js";
import { isEnded, useJob } from "../data/use_job.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./form.js").Facts} Facts */

/** Settings that change how many steps there are, not how long a step takes. */
const NO_MATTER = new Set(["length", "seed", "optimizer.learning_rate", "evaluation.prompts", "checkpoints.keep_last", "checkpoints.keep_every"]);

/** @param {NewRunForm} form */
function costKey(form) {
  const entries = Object.entries(form.values.value).filter(([name]) => !NO_MATTER.has(name));
  return JSON.stringify(entries.sort());
}

/** @param {{form: NewRunForm, facts: Facts}} props */
export function Calibration({ form, facts }) {
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [asking, setAsking] = useState(false);
  const [key, setKey] = useState("");
  const job = useJob(started, (ended) => {
    if (ended.state === "done") form.measured.value = { key, ...ended.result };
  });
  const measured = form.measured.value;
  const current = costKey(form);
  const begin = async () => {
    setAsking(true);
    setError(null);
    setKey(current);
    try {
      setStarted(await post("/api/plan/calibrate", { settings: form.tree() }));
    } catch (problem) {
      setError(problem);
    }
    setAsking(false);
  };
  const running = job !== null && !isEnded(job);
  return h("div", { class: "calibration" },
    h("dl", {}, h("div", { class: "plan-fact" }, h("dt", {}, "Time"),
      h("dd", { "data-fact": "time" }, measured === null
        ? "not measured"
        : measured.key !== current
          ? "measured with other settings"
          : `about ${duration(measured.seconds_per_step * facts.steps * (1 + facts.evaluation_part))}`))),
    running
      ? h(JobProgress, { job })
      : h(Button, { small: true, busy: asking, onClick: begin }, measured === null ? "Calibrate" : "Calibrate again"),
    !running && measured === null && h("p", { class: "hint" }, "Runs a few real steps to tell the time. Nothing of them is kept."),
    job !== null && job.state === "failed" && h(JobProgress, { job, onClose: () => setStarted(null) }),
    error !== null && h(Problem, { error }));
}

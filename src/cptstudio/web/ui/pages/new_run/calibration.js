/** How long the run takes: measured by a few real steps, when asked. */

import { post } from "../../lib/api.js";
import { duration } from "../../lib/format.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { announce } from "../../components/announce.js";
import { jobs } from "../../lib/live.js";
import { Button, Problem } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { isEnded, noteJob, useJob } from "../../lib/jobs.js";
import { totalSeconds } from "./plan_words.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./form.js").Facts} Facts */

/** Settings that change how many steps there are or what is saved, not how long a step takes. */
const NO_MATTER = /^(length|seed|optimizer\.learning_rate|evaluation\.prompts|checkpoints\..*)$/;

/** @param {NewRunForm} form */
function costKey(form) {
  const entries = Object.entries(form.values.value).filter(([name]) => !NO_MATTER.test(name));
  return JSON.stringify(entries.sort());
}

/** Which job measures which settings: kept, so that a reload finds the measurement again. */
const STORED = "cpt-studio.calibration";

/** @returns {{id: string, key: string}|null} */
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? "null");
  } catch {
    return null;
  }
}

/** @param {{form: NewRunForm, facts: Facts}} props */
export function Calibration({ form, facts }) {
  const [own, setOwn] = useState(stored);
  const { busy: asking, error, run } = useWork();
  const job = useJob(own === null ? null : (jobs.value[own.id] ?? null),
    (ended) => announce(`${ended.title}: ${ended.state}.`));
  const current = costKey(form);
  const fresh = own?.key === current;
  const result = job?.state === "done" ? job.result : null;
  const perStep = result !== null && fresh ? result.seconds_per_step : null;
  useEffect(() => {
    form.perStep.value = perStep;
    return () => {
      form.perStep.value = null;
    };
  }, [perStep]);
  const begin = () => run(async () => {
    const begun = await post("/api/plan/calibrate", { settings: form.tree() });
    noteJob(begun);
    const next = { id: begun.id, key: current };
    sessionStorage.setItem(STORED, JSON.stringify(next));
    setOwn(next);
  });
  const running = job !== null && !isEnded(job);
  return h("div", { class: "calibration" },
    h("div", { class: "plan-time" },
      h("dl", {}, h("div", { class: "plan-fact" }, h("dt", {}, "Time"),
        h("dd", { "data-fact": "time" }, result === null
          ? "not measured"
          : perStep === null
            ? "outdated: settings changed"
            : `about ${duration(totalSeconds(facts, perStep))}, ${duration(perStep)} per step`))),
      !running && h(Button, { small: true, busy: asking, onClick: begin },
        result === null ? "Estimate time" : "Estimate again")),
    running ? h(JobProgress, { job })
      : result === null && h("p", { class: "hint" }, "Runs a few real steps and discards them."),
    perStep !== null && result.save_seconds != null && h("p", { class: "hint" },
      `Saving a checkpoint takes ${duration(result.save_seconds)}.`),
    perStep !== null && result.split && h("div", { class: "notice notice-warn" },
      h("div", { class: "stack" }, h("p", {}, result.advice),
        h(Button, { small: true, onClick: () => {
          form.set("batch.size", result.split.batch_size);
          form.set("batch.gradient_accumulation_steps", result.split.gradient_accumulation_steps);
        } }, "Apply"))),
    job !== null && job.state === "failed" && h(JobProgress, { job }),
    error !== null && h(Problem, { error }));
}

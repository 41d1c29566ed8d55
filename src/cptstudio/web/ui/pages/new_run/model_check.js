/** Whether a model is loaded as its makers meant it: compared with transformers, when asked. */

import { post } from "../../lib/api.js";
import { h, useState } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { announce } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { jobs } from "../../lib/live.js";
import { isEnded, useJob } from "../../lib/jobs.js";

/** @typedef {import("./model_facts.js").Model} Model */

/** @param {{model: Model}} props */
export function ModelCheck({ model }) {
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const { busy, error, run } = useWork();
  // A check that began before the page was loaded is followed too.
  const underWay = Object.values(jobs.value).find((one) =>
    one.kind === "check" && one.about === model.id && !isEnded(one)) ?? null;
  const job = useJob(started ?? underWay, (ended) => {
    if (ended.state === "done") announce(String(ended.result?.verdict ?? ""));
  });
  const check = () => run(async () => setStarted(await post("/api/models/check", { id: model.id })));
  const verdict = job?.state === "done" ? job.result?.verdict : null;
  return h("div", { class: "model-check" },
    h(Button, { small: true, busy, disabled: job !== null && !isEnded(job), onClick: check,
      "aria-label": `Check against transformers: ${model.name}` }, "Check against transformers"),
    error !== null && h(Problem, { error }),
    job !== null && !verdict && h(JobProgress, { job }),
    verdict && h("p", { class: "hint", role: "status" }, String(verdict)));
}

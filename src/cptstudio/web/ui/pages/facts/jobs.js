/** Work on a ledger: started, followed, found again after a reload. */

import { announce, toastError } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { post } from "../../lib/api.js";
import { forgetJob, isEnded, noteJob, useJob } from "../../lib/jobs.js";
import { jobs } from "../../lib/live.js";
import { Fragment, h, useId } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";

/** @param {string} name of a ledger */
const jobsOf = (name) => Object.values(jobs.value).filter((job) => job.on === "ledger" && job.about === name);

/**
 * Ask for a job and follow it; how former ones of its kind ended has been read.
 * @param {string} path @param {any} body
 */
export async function startJob(path, body) {
  const before = Object.values(jobs.peek()).filter(isEnded);
  const job = await post(path, body);
  noteJob(job);
  for (const other of before) {
    if (other.kind === job.kind && other.about === job.about) forgetJob(other).catch(toastError);
  }
  announce(`${job.title}: started.`);
  return job;
}

/**
 * The button that starts a job.
 *
 * @param {{action: string, path: string, body: any, missing: string, note?: string, started?: () => void}} props
 * missing: what still has to be chosen, a sentence; note: what else is said beside it
 */
export function StartJob({ action, path, body, missing, note, started }) {
  const id = useId();
  const { busy, error, run } = useWork();
  return h(Fragment, {},
    error !== null && h(Problem, { error }),
    h("div", { class: "form-actions" },
      h(Button, { kind: "primary", icon: "play", busy, disabled: missing !== "", "aria-describedby": id,
        onClick: () => run(async () => {
          await startJob(path, body);
          started?.();
        }) }, action),
      h("span", { class: "hint", id }, missing || note)));
}

/** @param {{name: string, finished: (job: any) => void}} props finished: called once with each job that ends well */
export function LedgerJobs({ name, finished }) {
  const listed = jobsOf(name).sort((one, other) => other.created - one.created);
  // The element stays when nothing is to be seen: an end is noticed by the component that watched the job.
  return h("section", { class: "corpus-jobs", "aria-label": "Work on this ledger",
    hidden: !listed.some((job) => job.state !== "done") },
    listed.map((job) => h(OneJob, { key: job.id, first: job, finished })));
}

/** @param {{first: any, finished: (job: any) => void}} props */
function OneJob({ first, finished }) {
  const job = useJob(first, (last) => {
    announce(`${last.title}: ${last.state}.`);
    if (last.state === "done") finished(last);
  });
  if (job.state === "done") return null;
  const broken = job.state === "failed" || job.state === "cancelled";
  return h(JobProgress, { job, onClose: () => void forgetJob(job).catch(toastError) },
    broken && job.kind === "facts-ask" && h("p", { class: "hint" },
      "Answers of models that were finished are kept: ask again to continue."));
}

/** Work of the testing programs: under way or ended badly, found again after a reload. */

import { announce, toastError } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { post } from "../../lib/api.js";
import { jobs } from "../../lib/live.js";
import { Fragment, h, useId } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { forgetJob, isEnded, noteJob, useJob } from "../../lib/jobs.js";

/** Whether work of a kind is under way. @param {string} kind */
export function isUnderWay(kind) {
  return Object.values(jobs.value).some((job) => job.kind === kind && ["waiting", "running"].includes(job.state));
}

/**
 * The button that asks for a job.
 *
 * @param {{action: string, path: string, body: any, missing: string, note?: string}} props
 * path: of the API; missing: what still has to be chosen, a sentence; note: what else is said beside it
 */
export function StartJob({ action, path, body, missing, note }) {
  const id = useId();
  const { busy, error, run } = useWork();
  return h(Fragment, {},
    error !== null && h(Problem, { error }),
    h("div", { class: "form-actions" },
      h(Button, { kind: "primary", icon: "play", busy, disabled: missing !== "", "aria-describedby": id,
        onClick: () => run(() => startJob(path, body)) }, action),
      h("span", { class: "hint", id }, missing || note)));
}

/** Ask for a job and follow it. @param {string} path of the API @param {any} body @returns {Promise<any>} the job */
export async function startJob(path, body) {
  const before = Object.values(jobs.peek()).filter(isEnded);
  const job = await post(path, body);
  const ended = before.filter((other) => other.kind === job.kind);
  noteJob(job);
  // How a former one ended has been read.
  for (const other of ended) forgetJob(other).catch(toastError);
  announce(`${job.title}: started.`);
  return job;
}

/**
 * Jobs of one kind. A finished one is in the list of results and not shown here.
 *
 * @param {{kind: string, label: string, finished: (job: any) => void, kept: string}} props
 * finished: called once with each job that ends well while it is watched;
 * kept: what a new start saves after one that broke off
 */
export function EvaluationJobs({ kind, label, finished, kept }) {
  const listed = Object.values(jobs.value).filter((job) =>
    job.kind === kind).sort((one, other) => other.created - one.created);
  // The element stays when nothing is to be seen: an end is noticed by the component that watched the job.
  return h("section", { class: "corpus-jobs", "aria-label": label,
    hidden: !listed.some((job) => job.state !== "done") },
    listed.map((job) => h(OneJob, { key: job.id, first: job, finished, kept })));
}

/** @param {{first: any, finished: (job: any) => void, kept: string}} props */
function OneJob({ first, finished, kept }) {
  const job = useJob(first, (last) => {
    announce(`${last.title}: ${last.state}.`);
    if (last.state === "done") finished(last);
  });
  if (job.state === "done") return null;
  const broken = job.state === "failed" || job.state === "cancelled";
  return h(JobProgress, { job, onClose: () => void forgetJob(job).catch(toastError) },
    broken && h("p", { class: "hint" }, kept));
}

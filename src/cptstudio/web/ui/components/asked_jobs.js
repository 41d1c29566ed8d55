/** Work of programs that a page asks for: started, followed, found again after a reload. */

import { announce, toastError } from "./announce.js";
import { Button, Problem } from "./elements.js";
import { JobProgress } from "./progress.js";
import { post } from "../lib/api.js";
import { jobs } from "../lib/live.js";
import { Fragment, h, useId } from "../lib/preact.js";
import { useWork } from "../lib/resource.js";
import { forgetJob, isEnded, noteJob, useJob } from "../lib/jobs.js";

/** Whether work of a kind is under way. @param {string} kind */
export function isUnderWay(kind) {
  return Object.values(jobs.value).some((job) => job.kind === kind && ["waiting", "running"].includes(job.state));
}

/** @typedef {(other: any, job: any) => boolean} Replaces whether an ended job is done with when a new one starts */

/** @type {Replaces} */
const sameKind = (other, job) => other.kind === job.kind;

/**
 * The button that asks for a job.
 *
 * @param {{action: string, path: string, body: any, missing: string, note?: string, started?: () => void,
 *   replaces?: Replaces}} props
 * path: of the API; missing: what still has to be chosen, a sentence; note: what else is said beside it
 */
export function StartJob({ action, path, body, missing, note, started, replaces }) {
  const id = useId();
  const { busy, error, run } = useWork();
  return h(Fragment, {},
    error !== null && h(Problem, { error }),
    h("div", { class: "form-actions" },
      h(Button, { kind: "primary", icon: "play", busy, disabled: missing !== "", "aria-describedby": id,
        onClick: () => run(async () => {
          await startJob(path, body, replaces);
          started?.();
        }) }, action),
      h("span", { class: "hint", id }, missing || note)));
}

/**
 * Ask for a job and follow it.
 *
 * @param {string} path of the API @param {any} body @param {Replaces} replaces @returns {Promise<any>} the job
 */
export async function startJob(path, body, replaces = sameKind) {
  const before = Object.values(jobs.peek()).filter(isEnded);
  const job = await post(path, body);
  noteJob(job);
  // How a former one ended has been read.
  for (const other of before) if (replaces(other, job)) forgetJob(other).catch(toastError);
  announce(`${job.title}: started.`);
  return job;
}

/**
 * Jobs and how those ended that went wrong. A finished one shows in what it made, and not here.
 *
 * @param {{listed: any[], label: string, finished: (job: any) => void, kept: (job: any) => string | null}} props
 * finished: called once with each job that ends well while it is watched;
 * kept: what a new start saves after one that broke off
 */
export function AskedJobs({ listed, label, finished, kept }) {
  const sorted = [...listed].sort((one, other) => other.created - one.created);
  // The element stays when nothing is to be seen: an end is noticed by the component that watched the job.
  return h("section", { class: "corpus-jobs", "aria-label": label,
    hidden: !sorted.some((job) => job.state !== "done") },
    sorted.map((job) => h(OneJob, { key: job.id, first: job, finished, kept })));
}

/** @param {{first: any, finished: (job: any) => void, kept: (job: any) => string | null}} props */
function OneJob({ first, finished, kept }) {
  const job = useJob(first, (last) => {
    announce(`${last.title}: ${last.state}.`);
    if (last.state === "done") finished(last);
  });
  if (job.state === "done") return null;
  const broken = job.state === "failed" || job.state === "cancelled";
  const hint = broken ? kept(job) : null;
  return h(JobProgress, { job, onClose: () => void forgetJob(job).catch(toastError) },
    hint !== null && h("p", { class: "hint" }, hint));
}

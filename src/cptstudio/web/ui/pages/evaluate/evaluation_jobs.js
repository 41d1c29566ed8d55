/** Work of the testing programs, by kind. */
import { AskedJobs } from "../../components/asked_jobs.js";
import { jobs } from "../../lib/live.js";
import { h } from "../../lib/preact.js";

/**
 * @param {{kind: string, label: string, finished: (job: any) => void, kept: string}} props as of `AskedJobs`;
 * kept: what a new start saves after one that broke off
 */
export function EvaluationJobs({ kind, label, finished, kept }) {
  return h(AskedJobs, { listed: Object.values(jobs.value).filter((job) => job.kind === kind), label, finished,
    kept: () => kept });
}

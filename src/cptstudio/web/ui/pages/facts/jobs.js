/** Work on a ledger. */
import { AskedJobs, StartJob as AnyStartJob } from "../../components/asked_jobs.js";
import { jobs } from "../../lib/live.js";
import { h } from "../../lib/preact.js";

/** @typedef {Parameters<typeof AnyStartJob>[0]} StartProps */

/**
 * The button that starts work on a ledger; how work on another one ended is still to be read.
 * @param {StartProps} props
 */
export function StartJob(props) {
  return h(AnyStartJob, { ...props, replaces: (other, job) => other.kind === job.kind && other.about === job.about });
}

/** @param {{name: string, finished: (job: any) => void}} props finished: called once with each job that ends well */
export function LedgerJobs({ name, finished }) {
  return h(AskedJobs, {
    listed: Object.values(jobs.value).filter((job) => job.on === "ledger" && job.about === name),
    label: "Work on this ledger", finished,
    kept: (job) => (job.kind === "facts-ask"
      ? "Answers of models that were finished are kept: ask again to continue." : null) });
}

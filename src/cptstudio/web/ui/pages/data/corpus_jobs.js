/** Builds under way or just ended: they are found again after a reload. */

import { del } from "../../lib/api.js";
import { jobs } from "../../lib/live.js";
import { h, useEffect, useRef } from "../../lib/preact.js";
import { announce, toast } from "../../components/announce.js";
import { JobProgress } from "../../components/progress.js";
import { isEnded } from "./use_job.js";

const KINDS = new Set(["corpus", "tokenise"]);

/**
 * The jobs that work on corpora, newest first.
 * @param {string|null} corpus only of this one
 * @returns {any[]}
 */
export function corpusJobs(corpus) {
  return Object.values(jobs.value)
    .filter((job) => KINDS.has(job.kind) && (corpus === null || job.about === corpus))
    .sort((one, other) => other.created - one.created);
}

/**
 * @param {{corpus: string|null, ended: () => void}} props
 * ended: called whenever one of them has ended
 */
export function CorpusJobs({ corpus, ended }) {
  const listed = corpusJobs(corpus);
  const states = useRef(/** @type {Map<string, string>} */ (new Map()));
  useEffect(() => {
    for (const job of listed) {
      const before = states.current.get(job.id);
      states.current.set(job.id, job.state);
      if (before === undefined || before === job.state || !isEnded(job)) continue;
      announce(`${job.title}: ${job.state}.`);
      ended();
    }
  });
  if (listed.length === 0) return null;
  /** @param {any} job */
  const close = async (job) => {
    try {
      await del(`/api/jobs/${encodeURIComponent(job.id)}`);
      const { [job.id]: gone, ...others } = jobs.value;
      jobs.value = others;
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), "bad");
    }
  };
  return h("section", { class: "corpus-jobs", "aria-label": "Work on corpora" }, listed.map((job) =>
    h(JobProgress, { key: job.id, job, onClose: () => void close(job) },
      job.state === "failed" && job.problems?.length > 0 && h("ul", { class: "field-problem" },
        job.problems.map((/** @type {string} */ sentence) => h("li", { key: sentence }, sentence))),
      job.state === "done" && corpus === null && job.about && h("p", {}, h("a", { href: `/data/${encodeURIComponent(job.about)}` }, "See its report")))));
}

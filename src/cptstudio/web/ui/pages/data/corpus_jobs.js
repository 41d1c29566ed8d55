/** Builds under way or just ended: they are found again after a reload. */

import { jobs } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { announce, toastError } from "../../components/announce.js";
import { JobProgress } from "../../components/progress.js";
import { forgetJob, useJob } from "../../lib/jobs.js";

/** The jobs that work on corpora, newest first. @param {string|null} corpus only of this one @returns {any[]} */
export function corpusJobs(corpus) {
  return Object.values(jobs.value)
    .filter((job) => job.on === "corpus" && (corpus === null || job.about === corpus))
    .sort((one, other) => other.created - one.created);
}

/** @param {{corpus: string|null, ended: () => void}} props ended: called whenever one of them has ended */
export function CorpusJobs({ corpus, ended }) {
  const listed = corpusJobs(corpus);
  if (listed.length === 0) return null;
  return h("section", { class: "corpus-jobs", "aria-label": "Corpus jobs" },
    listed.map((job) => h(CorpusJob, { key: job.id, first: job, linked: corpus === null, ended })));
}

/** @param {{first: any, linked: boolean, ended: () => void}} props linked: with a link to the corpus */
function CorpusJob({ first, linked, ended }) {
  const job = useJob(first, (last) => {
    announce(`${last.title}: ${last.state}.`);
    ended();
  });
  return h(JobProgress, { job, onClose: () => void forgetJob(job).catch(toastError) },
    job.state === "done" && linked && job.about && h("p", {},
      h("a", { href: `/data/${encodeURIComponent(job.about)}` }, "View report")));
}

/** Builds under way or just ended: they are found again after a reload. */

import { del } from "../../lib/api.js";
import { jobs } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { announce, toastError } from "../../components/announce.js";
import { JobProgress } from "../../components/progress.js";
import { useJob } from "../../lib/jobs.js";

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
  return h("section", { class: "corpus-jobs", "aria-label": "Work on corpora" },
    listed.map((job) => h(CorpusJob, { key: job.id, first: job, linked: corpus === null, ended })));
}

/** @param {{first: any, linked: boolean, ended: () => void}} props linked: with a link to the corpus */
function CorpusJob({ first, linked, ended }) {
  const job = useJob(first, (last) => {
    announce(`${last.title}: ${last.state}.`);
    ended();
  });
  const close = async () => {
    try {
      await del(`/api/jobs/${encodeURIComponent(job.id)}`);
      const { [job.id]: gone, ...others } = jobs.value;
      jobs.value = others;
    } catch (error) {
      toastError(error);
    }
  };
  return h(JobProgress, { job, onClose: () => void close() },
    job.state === "failed" && job.problems?.length > 0 && h("ul", { class: "field-problem" },
      job.problems.map((/** @type {string} */ sentence) => h("li", { key: sentence }, sentence))),
    job.state === "done" && linked && job.about && h("p", {},
      h("a", { href: `/data/${encodeURIComponent(job.about)}` }, "See its report")));
}

/** The demo workspace: a small model and two corpora, made by a job of the server. */

import { post } from "../lib/api.js";
import { isEnded, noteJob, useJob } from "../lib/jobs.js";
import { jobs } from "../lib/live.js";
import { Fragment, h } from "../lib/preact.js";
import { useWork } from "../lib/resource.js";
import { announce } from "./announce.js";
import { Button, Problem } from "./elements.js";
import { JobProgress } from "./progress.js";

/** What the demo workspace holds: see `cptstudio/demo.py`. */
const DEMO = { model: "demo-base", corpus: "python-source", replay: "python-documentation", length: "200 steps" };

/** The form of a first run on the demo's model and corpora, filled in. */
export const DEMO_RUN = `/new?${new URLSearchParams(DEMO)}`;

/** Whether the demo's corpora are among these. @param {readonly string[]} corpora names */
export const hasDemo = (corpora) => corpora.includes(DEMO.corpus) && corpora.includes(DEMO.replay);

/**
 * A button that makes it, then how far it is, then the way to its first run.
 * @param {{kind?: "primary" | "plain", made?: () => void}} props made: called when it is there
 */
export function CreateDemo({ kind = "plain", made }) {
  const { busy, error, run } = useWork();
  const found = Object.values(jobs.value).filter((job) => job.kind === "demo")
    .sort((one, other) => other.created - one.created)[0] ?? null;
  const job = useJob(found, (ended) => {
    if (ended.state !== "done") return;
    announce("The demo workspace is ready.");
    made?.();
  });
  const create = () => run(async () => noteJob(await post("/api/demo", {})));
  const active = job !== null && !isEnded(job);
  return h(Fragment, {},
    job?.state === "done"
      ? h(Button, { kind, icon: "play", href: DEMO_RUN }, "Set up the demo run")
      : h(Button, { kind, icon: "plus", busy: busy || active, onClick: create },
        active ? "Creating demo workspace…" : "Create demo workspace"),
    active && h(JobProgress, { job }),
    !active && job?.state === "failed" && h(Problem, { error: { message: job.error, problems: job.problems } }),
    error !== null && h(Problem, { error }));
}

/** Following one job of the server, also when the page was loaded after it began. */

import { get } from "../../lib/api.js";
import { jobs } from "../../lib/live.js";
import { useEffect, useRef, useState } from "../../lib/preact.js";

/** Milliseconds between questions when no news comes. */
const PAUSE = 1500;

/** @param {any} job */
export function isEnded(job) {
  return ["done", "failed", "cancelled"].includes(job?.state);
}

/**
 * The newest state of a job.
 * @param {any} first the job as it was answered, or null
 * @param {(job: any) => void} ended called once when it has ended
 * @returns {any} null where there is none
 */
export function useJob(first, ended) {
  const [asked, setAsked] = useState(/** @type {any} */ (null));
  const told = useRef(/** @type {string|null} */ (null));
  const id = first?.id ?? null;
  const pushed = id === null ? undefined : jobs.value[id];
  const fetched = asked?.id === id ? asked : first;
  const job = isEnded(fetched) ? fetched : (pushed ?? fetched);
  const done = isEnded(job);
  useEffect(() => {
    if (id === null || done || pushed !== undefined) return undefined;
    // Without a push (no socket, or not yet) the job is asked for.
    const timer = setInterval(() => get(`/api/jobs/${id}`).then(setAsked, () => undefined), PAUSE);
    return () => clearInterval(timer);
  }, [id, done, pushed === undefined]);
  useEffect(() => {
    if (!done || told.current === id) return;
    told.current = id;
    ended(job);
  }, [id, done]);
  return id === null ? null : job;
}

/** Following one job of the server, also when the page was loaded after it began. */

import { ApiError, del, get } from "./api.js";
import { connection, jobs } from "./live.js";
import { useEffect, useRef, useState } from "./preact.js";

/** Milliseconds between questions when no news comes. */
const PAUSE = 1500;

/** @param {any} job */
export function isEnded(job) {
  return ["done", "failed", "cancelled"].includes(job?.state);
}

/** Make a job known that an answer told of, unless the news were faster. @param {any} job */
export function noteJob(job) {
  if (job !== null && jobs.peek()[job.id] === undefined) jobs.value = { ...jobs.peek(), [job.id]: job };
}

/** Put an ended job away, on the server and here. @param {any} job */
export async function forgetJob(job) {
  await del(`/api/jobs/${encodeURIComponent(job.id)}`).catch((error) => {
    // Another page may have put it away.
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
  });
  const { [job.id]: gone, ...others } = jobs.value;
  jobs.value = others;
}

/**
 * The newest state of a job.
 * @param {any} first the job as it was answered, or null
 * @param {(job: any) => void} ended called once when it ends
 * @returns {any} null where there is none
 */
export function useJob(first, ended) {
  const [asked, setAsked] = useState(/** @type {any} */ (null));
  const id = first?.id ?? null;
  const told = useRef(/** @type {string|null} */ (isEnded(first) ? id : null));
  const pushed = id === null ? undefined : jobs.value[id];
  const fetched = asked?.id === id ? asked : first;
  const job = isEnded(fetched) ? fetched : (pushed ?? fetched);
  const done = isEnded(job);
  // Without a socket the job is asked for.
  const live = connection.value.state === "live";
  useEffect(() => {
    if (id === null || done || live) return undefined;
    const timer = setInterval(() => get(`/api/jobs/${id}`).then(setAsked, () => undefined), PAUSE);
    return () => clearInterval(timer);
  }, [id, done, live]);
  useEffect(() => {
    if (!done || told.current === id) return;
    told.current = id;
    ended(job);
  }, [id, done]);
  return id === null ? null : job;
}

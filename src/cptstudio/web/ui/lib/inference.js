/**
 * The inference worker: the process that holds models in memory. It starts only by `load`.
 *
 * Work on it is a task that is followed by long polls, so that pieces come as they are made and
 * none is lost when the connection breaks for a while.
 */
import { ApiError, get, post } from "./api.js";
import { inferenceChanged } from "./live.js";
import { signal, useEffect } from "./preact.js";

/** @typedef {{token: number, text: string, probability: number}} Alternative */
/**
 * One token of a text.
 * @typedef {object} Piece
 * @property {number} text_number which text of the task
 * @property {number} token
 * @property {string} text what it adds; empty while a character is not complete
 * @property {number} probability
 * @property {Alternative[]} alternatives the likeliest first
 * @property {"end" | "length" | "stop" | null} finish
 * @property {string | null=} ended_by the token or the stop sequence that ended the text
 */
/**
 * @typedef {object} Task
 * @property {string} id
 * @property {"load" | "complete" | "score"} kind
 * @property {"running" | "done" | "cancelled" | "failed"} state
 * @property {string | null} error
 * @property {string[]} problems
 * @property {{doing: string, done: number, total: number} | null} progress
 * @property {any} ask
 * @property {{label: string, seed: number, prompt: number[], shown: string[], opens: string}[] | null} texts
 * @property {Piece[]} pieces
 * @property {number} next
 * @property {number} version counts up with everything but pieces
 * @property {any} result
 */
/**
 * @typedef {{running: boolean, pid: number | null, since: number | null,
 *   models: {label: string, chat: boolean, vocabulary_size: number, tokenizer: string}[], busy: number,
 *   memory_active: number | null, memory_peak: number | null, memory_process: number | null,
 *   idle_seconds: number | null, last_end: string | null, tasks: Task[]}} InferenceState
 */

/** Between two questions of one task: a screen needs no more, and the server has other work. */
const PACE_MS = 60;
const WAIT_SECONDS = 10;
const AGAIN_MS = 1000;

/** The last answer of GET /api/inference; null before the first. */
export const inference = signal(/** @type {InferenceState | null} */ (null));

/** Why the inference worker's state is not known, or null. */
export const inferenceError = signal(/** @type {ApiError | null} */ (null));

let asked = 0;

/** Ask for the inference worker's state again. @returns {Promise<InferenceState | null>} null: it is not known */
export async function refreshInference() {
  asked += 1;
  const turn = asked;
  try {
    const answer = await get("/api/inference");
    if (turn === asked) {
      inference.value = answer;
      inferenceError.value = null;
    }
    return answer;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (turn === asked) inferenceError.value = error;
    return null;
  }
}

/** The inference worker's state in a component, kept fresh. @returns {InferenceState | null} */
export function useInference() {
  const changed = inferenceChanged.value;
  useEffect(() => void refreshInference(), [changed]);
  return inference.value;
}

/**
 * Start loading models; with `keep` what is loaded already stays.
 *
 * @param {string[]} references @param {boolean=} keep @returns {Promise<Task>}
 */
export const load = (references, keep = false) => post("/api/inference/load", { references, keep });

/** Start completing. @param {any} ask body of POST /api/inference/complete @returns {Promise<Task>} */
export const complete = (ask) => post("/api/inference/complete", ask);

/** Start scoring. @param {any} ask body of POST /api/inference/score @returns {Promise<Task>} */
export const score = (ask) => post("/api/inference/score", ask);

/** Ask for no more; what was made stays. @param {string} task @returns {Promise<Task>} */
export const cancelTask = (task) => post(`/api/inference/tasks/${encodeURIComponent(task)}/cancel`, {});

/** End the inference worker: its memory is free afterwards. */
export async function endInference() {
  inference.value = await post("/api/inference/end", {});
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Follow a task to its end. While no server answers it waits and asks again.
 *
 * @param {string} id
 * @param {(task: Task) => void} news called with each answer; its pieces are those not told before
 * @param {AbortSignal=} abort only the following ends, the task goes on
 * @returns {Promise<Task>} the task at its end
 * @throws {ApiError} status 404: the server does not know the task (any more)
 */
export async function follow(id, news, abort) {
  let after = 0;
  let version = 0;
  for (;;) {
    const began = performance.now();
    let task = null;
    try {
      task = /** @type {Task} */ (await get(`/api/inference/tasks/${encodeURIComponent(id)}`,
        { after, version, wait: WAIT_SECONDS }, abort));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 0) throw error;
    }
    if (task) {
      after = task.next;
      version = task.version;
      version = task.version;
      news(task);
      if (task.state !== "running") return task;
    }
    await pause(task ? Math.max(0, PACE_MS - (performance.now() - began)) : AGAIN_MS);
  }
}

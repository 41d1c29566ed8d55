import { status } from "./live.js";

/**
 * Runs of /api/runs as they are now: the status comes twice a second, the whole list only when something began or
 * ended.
 *
 * @param {any[]} runs
 */
export function freshRuns(runs) {
  const fresh = new Map((status.value?.active || []).map((/** @type {any} */ run) => [run.id, run]));
  return runs.map((run) => (fresh.has(run.id)
    ? { ...run, ...fresh.get(run.id), sparkline: run.sparkline, tags: run.tags }
    : run));
}

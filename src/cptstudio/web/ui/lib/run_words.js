/** Words and small questions about runs that several pages share. */
import { integer } from "./format.js";

/** @typedef {any} RunSummary */

/** @param {RunSummary} run */
export const nameOf = (run) => run.name || run.id;

/** @param {RunSummary} run step of total, as far as it is known */
export function stepOf(run) {
  if (run.step == null && run.planned_steps == null) return "–";
  return run.planned_steps == null ? integer(run.step) : `${integer(run.step ?? 0)} of ${integer(run.planned_steps)}`;
}

/** Why a run is in its state, as a sentence; "" where nothing is told. @param {string | undefined} reason */
export const reasonOf = (reason) =>
  reason ? `${reason[0]?.toUpperCase()}${reason.slice(1)}${/[.!?]$/.test(reason) ? "" : "."}` : "";

/** Whether a run can go on from where it ended; a completed one has nothing left to do. @param {RunSummary} run */
export function resumable(run) {
  return run.state.name === "lost" || (run.state.name === "ended" && run.state.outcome !== "completed");
}

/** Change of general bits per byte since the first evaluation; more is forgetting. @param {RunSummary} run */
export function generalChange(run) {
  const { first, last } = run.general || {};
  return first == null || last == null || first === last ? null : last - first;
}

/** Change of domain bits per byte since the first evaluation; less is learning. @param {RunSummary} run */
export function domainChange(run) {
  const { first, last } = run.domain || {};
  return first == null || last == null || first === last ? null : last - first;
}

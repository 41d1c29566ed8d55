/** What the curves of runs are drawn over: the axis's title and numbers, and the field of a row. */
import { count, duration, integer } from "./format.js";

/** Steps are whole: between them the axis stays empty. @param {number} value */
const stepTick = (value) => (!Number.isInteger(value) ? "" : Math.abs(value) < 100_000 ? integer(value) : count(value));

/** @typedef {"step" | "tokens" | "time"} XAxis */
/** @typedef {"step" | "tokens_seen" | "elapsed"} Field */
/** @typedef {(value: number) => string} Format */

/** @type {Record<XAxis, {field: Field, title: string, choice: string, format: Format, tick?: Format}>} */
export const X_AXES = {
  step: { field: "step", title: "Step", choice: "Steps", format: integer, tick: stepTick },
  tokens: { field: "tokens_seen", title: "Tokens", choice: "Tokens", format: count },
  time: { field: "elapsed", title: "Training time", choice: "Time", format: duration },
};

/** The axis that a query names, else steps. @param {string | undefined} name @returns {XAxis} */
export const xAxis = (name) => /** @type {XAxis} */ (name !== undefined && Object.hasOwn(X_AXES, name) ? name : "step");

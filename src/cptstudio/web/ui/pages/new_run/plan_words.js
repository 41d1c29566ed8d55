/** The plan in a few words. */

import { bytes, count, duration, integer } from "../../lib/format.js";

/** @typedef {import("./form.js").Facts} Facts */
/** @typedef {"fits"|"tight"|"too-much"} Judgement */

/** From this part on, what is left may be needed otherwise. */
const TIGHT = 0.8;
const JUDGEMENTS = { fits: "OK", tight: "Tight", "too-much": "Won't fit" };

/**
 * Whether so much of something is there.
 * @param {number} used @param {number} total @param {number} room what may be used without a second thought
 * @returns {Judgement}
 */
export function judge(used, total, room = TIGHT * total) {
  return used > total || total <= 0 ? "too-much" : used > room ? "tight" : "fits";
}

/** @param {Facts} facts */
export const memoryJudgement = (facts) =>
  judge(facts.memory_bytes, facts.memory_available_bytes, facts.memory_room_bytes);

/** @param {Judgement} judgement */
export const judgementWords = (judgement) => JUDGEMENTS[judgement];

/** "1 epoch", "0.4 epochs". @param {number} epochs */
export function epochsWords(epochs) {
  const shown = epochs < 0.095 ? epochs.toPrecision(1) : epochs.toLocaleString("en", { maximumFractionDigits: 2 });
  return `${shown} ${shown === "1" ? "epoch" : "epochs"}`;
}

/** How long it takes: training and evaluations at a measured speed. @param {Facts} facts @param {number} perStep */
export const totalSeconds = (facts, perStep) => perStep * facts.steps * (1 + facts.evaluation_part);

/**
 * What is always in view, the most important first.
 * @param {Facts} facts @param {number|null} perStep measured seconds of a step
 * @returns {{title: string, text: string, judgement?: Judgement, minor?: boolean}[]} minor: left out where there is
 *   no place for it
 */
export function shortPlan(facts, perStep) {
  const disk = facts.disk_free_bytes === null ? null : judge(facts.disk_needed_bytes, facts.disk_free_bytes);
  return [
    { title: "Memory", text: `${bytes(facts.memory_bytes)} of ${bytes(facts.memory_available_bytes)}`,
      judgement: memoryJudgement(facts) },
    { title: "Time", minor: perStep === null,
      text: perStep === null ? "not measured" : duration(totalSeconds(facts, perStep)) },
    { title: "Steps", text: `${integer(facts.steps)} · ${count(facts.tokens)} tokens` },
    { title: "Disk", minor: disk !== "too-much", text: bytes(facts.disk_needed_bytes),
      ...(disk === null ? {} : { judgement: disk }) },
  ];
}

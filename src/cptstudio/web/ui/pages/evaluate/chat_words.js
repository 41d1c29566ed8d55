/** The measures of chat habits, as pages and exports call them; what they count is in docs/evaluation.md. */

/** @typedef {"stops" | "template" | "instructions" | "repetition" | "loops"} Measure */

/** @type {readonly {id: Measure, title: string, says: string, better: "higher" | "lower"}[]} */
export const MEASURES = [
  { id: "stops", title: "Stops", better: "higher", says: "answers that end by themselves" },
  { id: "template", title: "Template kept", better: "higher",
    says: "answers that end with the template's own end-of-turn token and contain no stray role or template token" },
  { id: "instructions", title: "Instructions", better: "higher",
    says: "instructions followed (format, JSON, length, language, words), checked by code" },
  { id: "repetition", title: "Repetition", better: "lower", says: "share of repeated 4-grams, mean over answers" },
  { id: "loops", title: "Loops", better: "lower", says: "answers caught in a loop" },
];

/** What a measure is called on an axis. @param {typeof MEASURES[number]} measure */
export const axisTitle = (measure) =>
  `${measure.title} (${measure.better === "higher" ? "higher is better" : "lower is better"})`;

/** A share without decimals. @param {number} value */
export const share = (value) => `${Math.round(value * 100)}%`;

/** A point's short name on the chart. @param {any} point of a report */
export function pointName(point) {
  if (point.way === "instruct") return "instruct";
  if (point.way === "trained") return "trained";
  if (point.way === "base") return "base";
  return point.share === null ? point.label : `+${point.share}`;
}

/** A point as a row is called; its whole label has the models' names. @param {any} point of a report */
export function rowName(point) {
  return point.way === "difference" ? `trained + ${point.share} × difference` : point.label;
}

/** What a row is. @type {Record<string, string>} */
export const WAYS = {
  base: "before training", instruct: "instruct model", trained: "trained", difference: "", model: "",
};

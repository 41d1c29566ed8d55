/** The table of metrics: what rows hold and how it is shown. Its home is the server's `cptstudio.metrics`. */
import { get } from "./api.js";
import { bits, bytes, change, count, duration, integer, number } from "./format.js";
import { signal, useEffect } from "./preact.js";

/** @typedef {{id: string, title: string, size: "large" | "wide" | "", zero: boolean, optional: boolean}} ChartRecord */
/**
 * @typedef {{name: string, title: string, unit: string, format: keyof typeof FORMATS,
 *   better: "lower" | "higher" | null, chart: ChartRecord | null, drawn: "smoothed" | "last" | "max", legend: string,
 *   compared: string[], short: string}} Metric
 */
/** @typedef {{training: Metric[], evaluation: Metric[], measures: Metric[]}} MetricTable */
/** @typedef {MetricTable & {chart: ChartRecord}} ChartOf what is drawn in a chart */

/** How a number is written, by the name of its format. */
export const FORMATS = {
  number: (/** @type {any} */ value) => number(value),
  rough: (/** @type {any} */ value) => number(value, 3),
  decimals: bits,
  hundredths: (/** @type {any} */ value) => (Number.isFinite(value) ? value.toFixed(2) : number(value)),
  integer,
  count,
  bytes,
  duration,
  flag: (/** @type {any} */ value) => (value ? "yes" : "no"),
};

/** All digits, where there is room for them. @param {keyof typeof FORMATS} format @param {any} value */
export const exact = (format, value) =>
  (format === "count" ? number(value, Math.abs(value) < 1000 ? 4 : 7) : FORMATS[format](value));

/** A difference of two values, with its sign. @param {keyof typeof FORMATS} format @param {number} value */
export function differenceText(format, value) {
  if (format === "bytes") return (value > 0 ? "+" : "") + bytes(value);
  return change(value, format === "integer" ? 0 : format === "count" ? 1 : 4);
}

const table = signal(/** @type {MetricTable | null} */ (null));
/** @type {Promise<MetricTable> | null} */
let asked = null;

/** The table, fetched once. */
export function loadMetrics() {
  asked ??= get("/api/metrics").then((answer) => (table.value = answer), (error) => {
    asked = null;
    throw error;
  });
  return asked;
}

/** The table in a component; null until it is there. */
export function useMetrics() {
  useEffect(() => void loadMetrics().catch(() => undefined), []);
  return table.value;
}

/** The name of an evaluation's number in the API. @param {Metric} metric */
export const keyOf = (metric) => metric.short || metric.name;

/** Charts in the order of the table, each with what is drawn in it. @param {MetricTable} metrics */
export function chartsOf(metrics) {
  /** @type {Map<string, ChartOf>} */
  const found = new Map();
  for (const kind of /** @type {const} */ (["training", "evaluation", "measures"])) {
    for (const metric of metrics[kind]) {
      if (metric.chart) {
        const { chart } = metric;
        const of = found.get(chart.id) ?? { chart, training: [], evaluation: [], measures: [] };
        of[kind].push(metric);
        found.set(chart.id, of);
      }
    }
  }
  const sizes = ["large", "wide", ""];
  return [...found.values()].sort((one, other) => sizes.indexOf(one.chart.size) - sizes.indexOf(other.chart.size));
}

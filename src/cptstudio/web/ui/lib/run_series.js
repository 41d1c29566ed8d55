/**
 * A run's curves in the page: fetched reduced to the screen's width, then continued with the rows
 * that come live, each applied once.
 */
import { get } from "./api.js";
import { keyOf, loadMetrics } from "./metrics.js";
import { signal } from "./preact.js";
import { extendAverage } from "./smoothing.js";
import { X_AXES } from "./x_axes.js";

/** @typedef {(number | null)[]} Values */
/**
 * @typedef {object} Curve
 * @property {number[]} x
 * @property {Values} min
 * @property {Values} max
 * @property {Values} mean
 * @property {Values} last
 * @property {Values} ema
 * @property {number} ema_unit see smoothing.js
 * @property {number} ema_weight
 */
/**
 * An evaluation's numbers by the fields of axes and by the keys of metrics.
 * @typedef {{seq: number, best: boolean, corpora: Record<string, any>, [number: string]: any}} Evaluation
 */
/** @typedef {{seq: number, step: number | null, key: string, value: string}} NonFinite */
/**
 * @typedef {{x: import("./x_axes.js").XAxis, from: number | null, to: number | null, smoothing: number,
 *   buckets: number}} View
 */
/** @typedef {Record<string, any>} Row */

const FIRST_KEY = "loss";
const GROWTH_BEFORE_RELOAD = 2;
const FIRST_PICTURE_MS = 700;
const MOST_NON_FINITE = 200;

/** @param {any} value @returns {number | null} */
const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** @param {Row} row @param {import("./metrics.js").MetricTable} metrics @returns {Evaluation} */
function evaluationOf(row, metrics) {
  const corpora = Object.entries(row.corpora || {}).map(([name, values]) => {
    const measured = metrics.measures.map((measure) => [measure.name, finite(values[measure.name])]);
    return [name, { role: String(values.role || ""), ...Object.fromEntries(measured) }];
  });
  return {
    ...Object.fromEntries(Object.values(X_AXES).map(({ field }) => [field, finite(row[field])])),
    ...Object.fromEntries(metrics.evaluation.map((metric) => [keyOf(metric), finite(row[metric.name])])),
    seq: row.seq,
    best: row.best === true,
    corpora: Object.fromEntries(corpora),
  };
}

/** The curves of one run, as one view wants them. */
export class RunSeries {
  /** @param {string} run */
  constructor(run) {
    this.run = run;
    /** Counts up with each change of the data, which itself is changed in place. */
    this.version = signal(0);
    this.error = signal(/** @type {any} */ (null));
    /** @type {View} */
    this.view = { x: "step", from: null, to: null, smoothing: 0.9, buckets: 800 };
    /** The view that the data belong to, while the next one is fetched. */
    this.shown = this.view;
    /** @type {Record<string, Curve>} */
    this.keys = {};
    /** @type {Record<string, number>} the last row of each curve */
    this.seqs = {};
    this.loading = false;
    /** @type {Evaluation[]} */
    this.evaluations = [];
    /** @type {NonFinite[]} */
    this.nonfinite = [];
    this.nonfiniteTotal = 0;
    /** @type {import("./metrics.js").MetricTable} */
    this.metrics = { training: [], evaluation: [], measures: [] };
    this.loaded = false;
    /** False while the server still reads a long file and has sent a first picture. */
    this.complete = true;
    /** @type {{boot_id: string, generation: any, after: number} | null} */
    this.position = null;
    /** @type {Row[]} rows that came while a fetch was under way */
    this.recent = [];
    this.fetches = 0;
    this.stopped = false;
    this.fetched = 0;
    this.xMin = /** @type {number | null} */ (null);
    this.xMax = /** @type {number | null} */ (null);
  }

  /**
   * Fetch what the view shows: the loss, which stands first on the page, and then the others.
   *
   * @param {Partial<View>=} change
   */
  async load(change) {
    const view = { ...this.view, ...change };
    this.view = view;
    this.fetches += 1;
    const number = this.fetches;
    const stale = () => number !== this.fetches || this.stopped;
    this.recent = [];
    this.loading = true;
    const { x, from, to, smoothing, buckets } = view;
    const path = `/api/runs/${this.run}/series`;
    try {
      const wanted = get(path, { x, from, to, smoothing, buckets, keys: FIRST_KEY });
      const [metrics, first] = await Promise.all([loadMetrics(), wanted]);
      if (stale()) {
        return; // A newer view is on its way.
      }
      this.metrics = metrics;
      this.take(first, view);
      const half = { buckets: Math.ceil(buckets / 2), keys: this.otherKeys().join(",") };
      const others = await get(path, { x, from, to, smoothing, ...half });
      if (stale()) return;
      if (others.boot_id === this.position?.boot_id && others.generation === this.position?.generation) {
        this.takeOthers(others);
      }
    } catch (error) {
      if (number === this.fetches) this.error.value = error;
      throw error;
    } finally {
      if (number === this.fetches) {
        this.loading = false;
        this.recent = [];
      }
    }
  }

  /** @param {any} answer the first key's @param {View} view */
  take(answer, view) {
    const same = this.position?.boot_id === answer.boot_id && this.position?.generation === answer.generation;
    const missed = same ? this.recent.filter((row) => row.seq > answer.last_seq) : [];
    this.keys = same && this.shown.x === view.x ? { ...this.keys, ...answer.keys } : answer.keys;
    this.seqs = { ...this.seqs, [FIRST_KEY]: answer.last_seq };
    this.shown = view;
    this.evaluations = answer.evaluations;
    this.nonfinite = answer.nonfinite || [];
    this.nonfiniteTotal = answer.nonfinite_total ?? this.nonfinite.length;
    this.xMin = answer.x_min;
    this.xMax = answer.x_max;
    this.position = { boot_id: answer.boot_id, generation: answer.generation, after: answer.last_seq };
    this.fetched = this.points();
    this.loaded = true;
    this.complete = answer.complete !== false;
    this.error.value = null;
    for (const row of missed) this.append(row, [FIRST_KEY]);
    this.version.value += 1;
    if (!this.complete) {
      setTimeout(() => !this.stopped && void this.load().catch(() => undefined), FIRST_PICTURE_MS);
    }
  }

  /** @param {any} answer */
  takeOthers(answer) {
    this.keys = { ...this.keys, ...answer.keys };
    for (const key of this.otherKeys()) this.seqs[key] = answer.last_seq;
    this.nonfinite = [...this.nonfinite.filter((one) => one.key === FIRST_KEY), ...(answer.nonfinite || [])];
    this.nonfiniteTotal += answer.nonfinite_total ?? 0;
    for (const row of this.recent) this.measure(row, this.otherKeys());
    this.version.value += 1;
  }

  /** The numbers that have a chart, after the loss. */
  otherKeys() {
    const charted = this.metrics.training.filter((metric) => metric.chart && metric.name !== FIRST_KEY);
    return charted.map((metric) => metric.name);
  }

  points() {
    return this.keys.loss?.x.length ?? 0;
  }

  /** Rows that came live, in order. @param {Row[]} rows */
  add(rows) {
    if (!this.position) return;
    for (const row of rows) {
      this.append(row, [FIRST_KEY, ...this.otherKeys()]);
      if (this.loading) this.recent.push(row);
    }
    this.version.value += 1;
    if (!this.loading && this.points() > Math.max(this.fetched, this.view.buckets) * GROWTH_BEFORE_RELOAD) {
      void this.load().catch(() => undefined);
    }
  }

  /** @param {Row} row @param {string[]} keys */
  append(row, keys) {
    if (this.position) this.position.after = row.seq;
    const x = finite(row[X_AXES[this.shown.x].field]);
    if (x == null) return;
    this.xMax = this.xMax == null ? x : Math.max(this.xMax, x);
    this.xMin ??= x;
    if (row.kind !== "evaluation") {
      this.measure(row, keys);
    } else if (this.shows(x)) {
      const evaluation = evaluationOf(row, this.metrics);
      if (evaluation.best) this.evaluations = this.evaluations.map((other) => ({ ...other, best: false }));
      this.evaluations.push(evaluation);
    }
  }

  /** @param {number} x */
  shows(x) {
    const { from, to } = this.shown;
    return (to == null || x <= to) && (from == null || x >= from);
  }

  /** Continue curves with a row, each only where it has not got it yet. @param {Row} row @param {string[]} keys */
  measure(row, keys) {
    const x = finite(row[X_AXES[this.shown.x].field]);
    if (x == null || !this.shows(x)) return;
    for (const key of keys) {
      const curve = this.keys[key];
      const value = row[key];
      if (!curve || value == null || row.seq <= (this.seqs[key] ?? 0)) continue;
      this.seqs[key] = row.seq;
      const usable = finite(value);
      if (usable == null) {
        this.nonfiniteTotal += 1;
        if (this.nonfinite.length < MOST_NON_FINITE) {
          this.nonfinite.push({ seq: row.seq, step: row.step, key, value: String(value) });
        }
      }
      extendAverage(curve, x, usable, this.shown.smoothing);
      curve.x.push(x);
      for (const values of [curve.min, curve.max, curve.mean, curve.last]) values.push(usable);
    }
  }

  stop() {
    this.stopped = true;
  }
}

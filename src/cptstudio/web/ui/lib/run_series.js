/**
 * A run's curves in the page: fetched reduced to the screen's width, then continued with the rows
 * that come live, each applied once.
 */
import { get } from "./api.js";
import { signal } from "./preact.js";
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
 * @property {number} ema_unit of x, to which the smoothing refers
 * @property {number} ema_weight how much of the average's start correction is used up
 */
/** @typedef {{seq: number, step: number, tokens_seen: number | null, elapsed: number | null, domain: number | null, general: number | null, best: boolean, corpora: Record<string, {role: string, bits_per_byte: number | null, loss: number | null}>}} Evaluation */
/** @typedef {{seq: number, step: number | null, key: string, value: string}} NonFinite */
/** @typedef {{x: import("./x_axes.js").XAxis, from: number | null, to: number | null, smoothing: number, buckets: number}} View */
/** @typedef {Record<string, any>} Row */

const FIRST_KEY = "loss";
const OTHER_KEYS = ["learning_rate", "tokens_per_second", "gradient_norm", "memory_process"];
const KEYS = [FIRST_KEY, ...OTHER_KEYS];
const GROWTH_BEFORE_RELOAD = 2;
const FIRST_PICTURE_MS = 700;
const MOST_NON_FINITE = 200;

/** @param {any} value @returns {number | null} */
const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** @param {Row} row @returns {Evaluation} */
function evaluationOf(row) {
  const corpora = Object.entries(row.corpora || {}).map(([name, values]) => [
    name,
    { role: String(values.role || ""), bits_per_byte: finite(values.bits_per_byte), loss: finite(values.loss) },
  ]);
  return {
    seq: row.seq,
    step: row.step,
    tokens_seen: finite(row.tokens_seen),
    elapsed: finite(row.elapsed),
    domain: finite(row.domain_bits_per_byte),
    general: finite(row.general_bits_per_byte),
    best: row.best === true,
    corpora: Object.fromEntries(corpora),
  };
}

/**
 * Continue a curve with one value, its moving average by the server's own rule.
 *
 * @param {Curve} curve
 * @param {number} x
 * @param {number | null} value null for what was not finite
 * @param {number} smoothing
 */
function extend(curve, x, value, smoothing) {
  const before = curve.x.length ? curve.x[curve.x.length - 1] : null;
  let last = curve.ema.length - 1;
  while (last >= 0 && curve.ema[last] == null) {
    last -= 1;
  }
  curve.x.push(x);
  for (const values of [curve.min, curve.max, curve.mean, curve.last]) {
    values.push(value);
  }
  if (value == null || smoothing <= 0) {
    curve.ema.push(value);
    return;
  }
  const passed = before == null ? 0 : (x - before) / (curve.ema_unit || 1);
  const past = last < 0 ? 0 : passed > 0 ? smoothing ** passed : smoothing;
  const fresh = last < 0 ? 1 - smoothing : 1 - past;
  const weight = past * curve.ema_weight + fresh;
  curve.ema.push((past * curve.ema_weight * (curve.ema[last] ?? 0) + fresh * value) / weight);
  curve.ema_weight = weight;
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
      const first = await get(path, { x, from, to, smoothing, buckets, keys: FIRST_KEY });
      if (stale()) {
        return; // A newer view is on its way.
      }
      this.take(first, view);
      const others = await get(path, { x, from, to, smoothing, buckets: Math.ceil(buckets / 2), keys: OTHER_KEYS.join(",") });
      if (stale()) {
        return;
      }
      if (others.boot_id === this.position?.boot_id && others.generation === this.position?.generation) {
        this.takeOthers(others);
      }
    } catch (error) {
      if (number === this.fetches) {
        this.error.value = error;
      }
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
    for (const row of missed) {
      this.append(row, [FIRST_KEY]);
    }
    this.version.value += 1;
    if (!this.complete) {
      setTimeout(() => !this.stopped && void this.load().catch(() => undefined), FIRST_PICTURE_MS);
    }
  }

  /** @param {any} answer */
  takeOthers(answer) {
    this.keys = { ...this.keys, ...answer.keys };
    for (const key of OTHER_KEYS) {
      this.seqs[key] = answer.last_seq;
    }
    this.nonfinite = [...this.nonfinite.filter((one) => one.key === FIRST_KEY), ...(answer.nonfinite || [])];
    this.nonfiniteTotal += answer.nonfinite_total ?? 0;
    for (const row of this.recent) {
      this.measure(row, OTHER_KEYS);
    }
    this.version.value += 1;
  }

  points() {
    return this.keys.loss?.x.length ?? 0;
  }

  /** Rows that came live, in order. @param {Row[]} rows */
  add(rows) {
    if (!this.position) {
      return;
    }
    for (const row of rows) {
      this.append(row, KEYS);
      if (this.loading) {
        this.recent.push(row);
      }
    }
    this.version.value += 1;
    if (!this.loading && this.points() > Math.max(this.fetched, this.view.buckets) * GROWTH_BEFORE_RELOAD) {
      void this.load().catch(() => undefined);
    }
  }

  /** @param {Row} row @param {string[]} keys */
  append(row, keys) {
    if (this.position) {
      this.position.after = row.seq;
    }
    const x = finite(row[X_AXES[this.shown.x].field]);
    if (x == null) {
      return;
    }
    this.xMax = this.xMax == null ? x : Math.max(this.xMax, x);
    this.xMin ??= x;
    if (row.kind !== "evaluation") {
      this.measure(row, keys);
    } else if (this.shows(x)) {
      const evaluation = evaluationOf(row);
      if (evaluation.best) {
        this.evaluations = this.evaluations.map((other) => ({ ...other, best: false }));
      }
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
    if (x == null || !this.shows(x)) {
      return;
    }
    for (const key of keys) {
      const curve = this.keys[key];
      const value = row[key];
      if (!curve || value == null || row.seq <= (this.seqs[key] ?? 0)) {
        continue;
      }
      this.seqs[key] = row.seq;
      const usable = finite(value);
      if (usable == null) {
        this.nonfiniteTotal += 1;
        if (this.nonfinite.length < MOST_NON_FINITE) {
          this.nonfinite.push({ seq: row.seq, step: row.step, key, value: String(value) });
        }
      }
      extend(curve, x, usable, this.shown.smoothing);
    }
  }

  stop() {
    this.stopped = true;
  }
}

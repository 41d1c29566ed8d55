/** What charts are made of: lines joined on one x axis, ranges, colours of the current scheme. */
import uPlot from "../vendor/uplot.js";

/** @typedef {(number | null | undefined)[]} Values */
/**
 * @typedef {object} Line
 * @property {string} label
 * @property {number[]} x
 * @property {Values} y
 * @property {Values=} min drawn as a band with max, so that no extreme is hidden
 * @property {Values=} max
 * @property {string} colour a custom property's name without the dashes: "chart-1"
 * @property {number=} width
 * @property {number[]=} dash
 * @property {boolean=} points
 * @property {boolean=} quiet behind the others and not in the legend's values
 * @property {boolean=} hidden
 */
/**
 * @typedef {object} Axis
 * @property {string} title
 * @property {(value: number) => string} format
 * @property {((value: number) => string)=} tick on the axis, where that is shorter
 */
/** @typedef {{x: number, label: string, kind: "best" | "event" | "bad"}} Mark */
/**
 * @typedef {object} ChartProps
 * @property {string} title
 * @property {any=} note beside the title
 * @property {Line[]} lines
 * @property {number} version changes whenever the lines do
 * @property {Axis} x
 * @property {Axis} y
 * @property {[number, number] | null} range of x that was zoomed to; null for all there is
 * @property {[number, number] | null=} extent of x where nothing was zoomed to, for charts that belong together
 * @property {(from: number | null, to: number | null) => void} onZoom
 * @property {boolean=} log
 * @property {boolean=} clip leave the farthest hundredth of a raw trace out of the range
 * @property {boolean=} zero begin at zero
 * @property {{value: number, label: string} | null=} limit
 * @property {Mark[]=} marks
 * @property {string=} sync charts with the same one share the crosshair
 * @property {string} file name of exports, without ending
 * @property {string=} empty words where there is nothing to draw
 * @property {boolean=} large
 * @property {number=} height in pixels, where it is neither a large nor a small chart
 * @property {boolean=} wide takes two places where there are two
 */

const OUTLIER_SHARE = 0.01;

// A custom property's own value is its text, "light-dark(...)"; only a colour that uses it is computed.
/** @type {HTMLElement | null} */
let probe = null;

/**
 * A colour of the current scheme, as a canvas understands it.
 *
 * @param {string} name custom property without the dashes
 */
export function colour(name) {
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/**
 * Lines as uPlot's aligned columns: x, then for each line its values, and min and max of its band.
 *
 * @param {Line[]} lines @returns {uPlot.AlignedData}
 */
export function aligned(lines) {
  const tables = lines.map((line) => (line.min && line.max ? [line.x, line.y, line.min, line.max] : [line.x, line.y]));
  if (!tables.length) return [[]];
  return uPlot.join(/** @type {any} */ (tables));
}

/** @param {number[]} sorted @param {number} share */
function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
}

/**
 * The range of y that shows the lines between two positions.
 *
 * @param {Line[]} lines
 * @param {number} from of x
 * @param {number} to of x
 * @param {{log: boolean, clip: boolean, limit?: number | null, zero?: boolean}} how @returns {[number, number]}
 */
export function yRange(lines, from, to, how) {
  let low = Infinity;
  let high = -Infinity;
  const take = (/** @type {number | null | undefined} */ value) => {
    if (value != null && (!how.log || value > 0)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  };
  for (const line of lines) {
    if (line.hidden) continue;
    const raw = line.min && line.max;
    /** @type {number[]} */
    const inside = [];
    for (let at = 0; at < line.x.length; at += 1) {
      if (line.x[at] < from || line.x[at] > to) continue;
      if (how.clip && (raw || line.quiet)) {
        const value = line.y[at];
        if (value != null && (!how.log || value > 0)) inside.push(value);
      } else if (raw) {
        take(line.min?.[at]);
        take(line.max?.[at]);
      } else {
        take(line.y[at]);
      }
    }
    if (inside.length) {
      inside.sort((a, b) => a - b);
      take(quantile(inside, OUTLIER_SHARE));
      take(quantile(inside, 1 - OUTLIER_SHARE));
    }
  }
  if (how.limit != null) take(how.limit);
  if (how.zero && low > 0 && !how.log) low = 0;
  if (how.zero && low === 0 && high === 0) return [0, 1];
  return padded(low, high, how.log);
}

/** @param {number} low @param {number} high @param {boolean} log @returns {[number, number]} */
function padded(low, high, log) {
  if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const room = Math.max((high / low) ** 0.05, 1.02);
    return [low / room, high * room];
  }
  // Differences at the edge of what numbers can tell are rounding, and axes cannot divide them.
  const size = Math.max(Math.abs(low), Math.abs(high));
  const flat = high - low <= size * 1e-9;
  const room = flat ? size * 0.05 || 0.5 : (high - low) * 0.06;
  return [low === 0 && !flat ? 0 : low - room, high + room];
}

/** The last value of a line that was measured. @param {Line} line */
export function lastOf(line) {
  for (let at = line.y.length - 1; at >= 0; at -= 1) {
    const value = line.y[at];
    if (value != null) return { x: line.x[at], y: value };
  }
  return null;
}

/** The value of a line at or before a position. @param {Line} line @param {number} x */
export function valueAt(line, x) {
  let low = 0;
  let high = line.x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.x[middle] <= x) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (let at = low - 1; at >= 0; at -= 1) {
    if (line.y[at] != null) {
      return { x: line.x[at], y: /** @type {number} */ (line.y[at]) };
    }
  }
  return null;
}

/** Lowest and highest value of a line. @param {Line} line */
export function extent(line) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of [line.y, line.min, line.max]) {
    for (const value of values || []) {
      if (value != null) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  return low <= high ? { low, high } : null;
}

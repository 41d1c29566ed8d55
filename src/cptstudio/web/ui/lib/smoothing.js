/**
 * The moving average, continued value by value as rows come live. `web/series/smoothing.py` computes the
 * same of a whole curve; tests/moving_averages.json holds both to the same cases.
 */

/**
 * @typedef {object} Average
 * @property {number[]} x
 * @property {(number | null)[]} ema null where nothing finite was measured
 * @property {number} ema_unit of x, to which the smoothing refers; 0: the distance of the next point
 * @property {number} ema_weight how much of the average's start correction is used up
 */

/**
 * Append a value's moving average; the caller appends x itself.
 *
 * @param {Average} curve @param {number} x
 * @param {number | null} value null for what was not finite
 * @param {number} smoothing weight of the past after one unit, 0 to below 1
 */
export function extendAverage(curve, x, value, smoothing) {
  if (value == null || smoothing <= 0) {
    curve.ema.push(value);
    return;
  }
  let last = curve.ema.length - 1;
  while (last >= 0 && curve.ema[last] == null) last -= 1;
  const passed = last < 0 ? 0 : x - curve.x[last];
  curve.ema_unit ||= Math.max(0, passed);
  const past = last < 0 ? 0 : passed > 0 ? smoothing ** (passed / curve.ema_unit) : smoothing;
  const fresh = last < 0 ? 1 - smoothing : 1 - past;
  const weight = past * curve.ema_weight + fresh;
  curve.ema.push((past * curve.ema_weight * (curve.ema[last] ?? 0) + fresh * value) / weight);
  curve.ema_weight = weight;
}

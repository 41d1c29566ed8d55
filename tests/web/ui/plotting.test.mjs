// What charts compute before they draw: ranges, the value under the cursor, columns, axes.
import assert from "node:assert/strict";
import test from "node:test";
import { aligned, extent, lastOf, valueAt, yRange } from "../../../src/cptstudio/web/ui/lib/plotting.js";
import { X_AXES, xAxis } from "../../../src/cptstudio/web/ui/lib/x_axes.js";

const line = (/** @type {number[]} */ x, /** @type {any[]} */ y, /** @type {any} */ more = {}) =>
  ({ label: "a", colour: "chart-1", x, y, ...more });
const how = { log: false, clip: false };
/** @param {[number, number]} found @param {[number, number]} expected */
function near(found, expected) {
  found.forEach((value, at) => assert.ok(Math.abs(value - expected[at]) < 1e-9, `${found}, not ${expected}`));
}

test("the range of y shows what lies between two positions, with some room", () => {
  const one = line([1, 2, 3, 4], [10, 20, null, 1000]);
  near(yRange([one], 1, 3, how), [9.4, 20.6]);
  near(yRange([one, line([1, 2], [-80, 0], { hidden: true })], 1, 3, how), [9.4, 20.6]);
  near(yRange([line([1, 2], [2, 3], { min: [0, 1], max: [4, 5] })], 1, 2, how), [0, 5.3]);
  near(yRange([one], 1, 3, { ...how, zero: true }), [0, 21.2]);
  near(yRange([one], 1, 3, { ...how, limit: 30 }), [8.8, 31.2]);
});

test("ranges of one value, of none, and of differences that are rounding", () => {
  near(yRange([line([1], [4])], 0, 2, how), [3.8, 4.2]);
  near(yRange([line([1], [0])], 0, 2, how), [-0.5, 0.5]);
  near(yRange([], 0, 2, how), [0, 1]);
  near(yRange([], 0, 2, { ...how, log: true }), [0.1, 1]);
  near(yRange([line([1, 2], [1, 1 + 1e-12])], 0, 3, how), [0.95, 1.05 + 1e-12]);
});

test("a logarithmic range leaves out what has no logarithm", () => {
  const found = yRange([line([1, 2, 3, 4], [0, -1, 1, 100])], 1, 4, { ...how, log: true });
  near(found, [1 / 100 ** 0.05, 100 * 100 ** 0.05]);
});

test("clipping leaves the farthest hundredth of a raw trace out", () => {
  const x = Array.from({ length: 200 }, (_, at) => at);
  const y = x.map((at) => (at === 50 ? 1e6 : at));
  const raw = line(x, y, { min: y, max: y });
  assert.ok(yRange([raw], 0, 199, how)[1] > 1e6);
  assert.ok(yRange([raw], 0, 199, { ...how, clip: true })[1] < 250);
  assert.ok(yRange([line(x, y)], 0, 199, { ...how, clip: true })[1] > 1e6);
});

test("the value at or before a position, the last one, the extremes", () => {
  const one = line([1, 2, 4, 8], [5, null, 7, null]);
  assert.equal(valueAt(one, 0.5), null);
  assert.deepEqual([1, 3, 4, 100].map((x) => valueAt(one, x)), [
    { x: 1, y: 5 }, { x: 1, y: 5 }, { x: 4, y: 7 }, { x: 4, y: 7 },
  ]);
  assert.deepEqual(lastOf(one), { x: 4, y: 7 });
  assert.equal(lastOf(line([1], [null])), null);
  assert.deepEqual(extent(line([1, 2], [3, 4], { min: [2, 4], max: [3, 9] })), { low: 2, high: 9 });
  assert.equal(extent(line([], [])), null);
});

test("lines on one x axis", () => {
  assert.deepEqual(aligned([]), [[]]);
  assert.deepEqual(aligned([line([1, 3], [10, 30]), line([2, 3], [5, 6], { min: [4, 5], max: [6, 7] })]).map((one) =>
    [...one]), [[1, 2, 3], [10, undefined, 30], [undefined, 5, 6], [undefined, 4, 5], [undefined, 6, 7]]);
});

test("x axes", () => {
  assert.deepEqual(["tokens", "time", "step", undefined, "", "toString"].map(xAxis),
    ["tokens", "time", "step", "step", "step", "step"]);
  const { format, tick } = X_AXES.step;
  assert.deepEqual([format(1234), tick?.(0.5), tick?.(1234), tick?.(123_456)], ["1,234", "", "1,234", "123k"]);
});

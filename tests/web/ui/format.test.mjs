// Numbers, sizes and times as the pages write them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import {
  ago, bits, bytes, change, count, date, duration, integer, number, percent, rate, shownValue,
} from "../../../src/cptstudio/web/ui/lib/format.js";

/** @type {[number, string][]} */
const DURATIONS = JSON.parse(readFileSync(new URL("../../durations.json", import.meta.url), "utf8"));

/** @type {[Function, [any[], string][]][]} */
const CASES = [
  [number, [
    [[null], "–"], [[undefined], "–"], [[0], "0"], [[1.23456], "1.235"], [[-1234.5678, 6], "-1,234.57"],
    [[0.00012345], "1.23e-4"], [[1e-4], "1e-4"], [[-2.5e8], "-2.5e8"], [[9_999_999], "10,000,000"],
    [["NaN"], "NaN"], [["-Infinity"], "-∞"], [[Infinity], "∞"], [[NaN], "NaN"],
  ]],
  [integer, [[[1234567.6], "1,234,568"], [[0], "0"], [[NaN], "–"], [[null], "–"]]],
  [count, [
    [[999], "999"], [[12_345], "12.3k"], [[4_500_000], "4.5M"], [[7e9], "7B"], [[1.5e13], "15T"],
    [[-12_345], "-12.3k"], [[999_885_952], "1B"], [[999_400_000], "999M"], [[Infinity], "–"],
  ]],
  [bytes, [
    [[0], "0 B"], [[999], "999 B"], [[1000], "1.0 kB"], [[1_234_567], "1.2 MB"], [[123_456_789], "123 MB"],
    [[8e9], "8.0 GB"], [[9e15], "9000 TB"], [[-1500], "−1.5 kB"], [[null], "–"],
  ]],
  [duration, [
    [[NaN], "–"], ...DURATIONS.map(([seconds, text]) => [[seconds], text]),
  ]],
  [rate, [
    [[0.153, "steps"], "0.15 steps/s"], [[1234, "tokens"], "1.23k tokens/s"], [[3_400_000, "bytes"], "3.4 MB/s"],
    [[null, "files"], "–"],
  ]],
  [bits, [[[0.98765], "0.9877"], [["NaN"], "NaN"], [[null], "–"]]],
  [change, [
    [[0.0123], "+0.0123"], [[-0.0456], "−0.0456"], [[0.00001], "±0.0000"], [[0], "±0.0000"], [[1234, 0], "+1,234"],
    [[NaN], "–"],
  ]],
  [percent, [[[0.1234], "12.3%"], [[1], "100%"], [[null], "–"]]],
  [shownValue, [[[null], "–"], [[false], "false"], [[{ a: [1] }], '{"a":[1]}'], [["x"], "x"]]],
  [date, [[[0], "–"], [[-1], "–"], [[null], "–"]]],
];

for (const [format, cases] of CASES) {
  test(format.name, () => {
    for (const [given, text] of cases) assert.equal(format(...given), text, `${format.name}(${given})`);
  });
}

test("ago", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_800_000_000_000 });
  const before = (/** @type {number} */ seconds) => ago(1_800_000_000 - seconds);
  assert.deepEqual([1, 59, 60, 3599, 7200].map(before), ["just now", "just now", "1 min ago", "59 min ago", "2 h ago"]);
  assert.deepEqual([86_400, 2 * 86_400, 31 * 86_400, 800 * 86_400].map(before),
    ["1 day ago", "2 days ago", "1 month ago", "2 years ago"]);
  assert.equal(ago(null), "–");
});

// The pages' moving average, held to the same cases as the server's by Node's own runner.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { extendAverage } from "../../../src/cptstudio/web/ui/lib/smoothing.js";

const { cases } = JSON.parse(readFileSync(new URL("../../moving_averages.json", import.meta.url), "utf-8"));

for (const { name, smoothing, x, y, head, unit, weight, ema } of cases) {
  test(name, () => {
    const curve = { x: x.slice(0, head), ema: ema.slice(0, head), ema_unit: unit, ema_weight: weight };
    for (let at = head; at < x.length; at += 1) {
      extendAverage(curve, x[at], y[at], smoothing);
      curve.x.push(x[at]);
    }
    assert.equal(curve.ema.length, ema.length);
    ema.forEach((expected, at) => {
      const found = curve.ema[at];
      assert.ok(expected === found || Math.abs(found - expected) < 1e-12, `${at}: ${found}, not ${expected}`);
    });
  });
}

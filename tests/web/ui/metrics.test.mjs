// What the pages make of the table of metrics.
import assert from "node:assert/strict";
import test from "node:test";
import { chartsOf, differenceText, exact } from "../../../src/cptstudio/web/ui/lib/metrics.js";

const metric = (name, chart) => ({ name, chart });
const chart = (id, size = "") => ({ id, size });

test("metrics of one chart are drawn together; large and wide charts come first", () => {
  const charts = chartsOf({
    training: [metric("tokens", null), metric("norm", chart("norm")), metric("loss", chart("loss", "large"))],
    evaluation: [metric("domain", chart("bits", "wide")), metric("general", chart("bits", "wide"))],
    measures: [metric("held out", chart("loss", "large")), metric("best share", chart("share"))],
  });
  assert.deepEqual(charts.map((one) => one.chart.id), ["loss", "bits", "norm", "share"]);
  const names = (list) => list.map((one) => one.name);
  assert.deepEqual(names(charts[0].training), ["loss"]);
  assert.deepEqual(names(charts[0].measures), ["held out"]);
  assert.deepEqual(names(charts[1].evaluation), ["domain", "general"]);
});

test("a table has room for more digits than a chart", () => {
  assert.equal(exact("count", 12345.678), "12,345.68");
  assert.equal(exact("count", 0.15), "0.15");
  assert.equal(exact("integer", 12345.678), "12,346");
  assert.equal(exact("decimals", 1.5), "1.5000");
  assert.equal(exact("bytes", null), "–");
});

test("differences have a sign", () => {
  assert.equal(differenceText("bytes", 2e9), "+2.0 GB");
  assert.equal(differenceText("integer", -3), "−3");
  assert.equal(differenceText("count", 12.34), "+12.3");
  assert.equal(differenceText("decimals", 0), "±0.0000");
});

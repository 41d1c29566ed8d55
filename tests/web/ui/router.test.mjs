// The view that a URL holds. Node has no browser around it: what the modules ask of it is the test's.
import assert from "node:assert/strict";
import test from "node:test";

/** @type {string[]} */
const entries = [];
const go = (/** @type {string} */ url) => Object.assign(location, {
  pathname: new URL(url, "http://host").pathname, search: new URL(url, "http://host").search,
});
globalThis.location = /** @type {any} */ ({});
globalThis.document = /** @type {any} */ ({ cookie: "" });
globalThis.matchMedia = /** @type {any} */ (() => new EventTarget());
globalThis.history = /** @type {any} */ ({
  pushState: (/** @type {any} */ _state, /** @type {string} */ _title, /** @type {string} */ url) => {
    entries.push(url);
    go(url);
  },
  replaceState: (/** @type {any} */ _state, /** @type {string} */ _title, /** @type {string} */ url) => {
    entries.splice(-1, 1, url);
    go(url);
  },
});
go("/runs/r-1?x=tokens&from=0");
const { navigate, queryNumber, route, setQuery, withQuery } =
  await import("../../../src/cptstudio/web/ui/lib/router.js");

test("the first route is the page's address", () => {
  assert.deepEqual(route.value, { path: "/runs/r-1", query: { x: "tokens", from: "0" } });
});

test("navigation adds to the history or replaces", () => {
  navigate("/data/caf%C3%A9?add=1");
  assert.deepEqual(route.value, { path: "/data/café", query: { add: "1" } });
  navigate("/evaluate?view=heat", { replace: true });
  assert.deepEqual(entries, ["/evaluate?view=heat"]);
});

test("a changed query keeps what was not changed, and commas as they are", () => {
  navigate("/compare?runs=a,b&log=1");
  assert.equal(withQuery({ x: "time" }), "/compare?runs=a,b&log=1&x=time");
  assert.equal(withQuery({ runs: "a,b c&d", log: null }), "/compare?runs=a,b+c%26d");
  for (const nothing of [null, undefined, "", false]) {
    assert.equal(withQuery({ runs: nothing, log: nothing }), "/compare");
  }
  assert.equal(withQuery({ log: true, runs: 0 }), "/compare?runs=0&log=true");
  setQuery({ from: 3 });
  assert.equal(route.value.query.from, "3");
  const before = entries.length;
  setQuery({ to: 9 }, { push: true });
  assert.deepEqual([route.value.query.to, entries.length], ["9", before + 1]);
});

test("numbers of a query", () => {
  assert.deepEqual(["0", "-1.5", "1e3", "", undefined, "x", "Infinity"].map(queryNumber),
    [0, -1.5, 1000, null, null, null, null]);
});

test("what the pages read from a query", async () => {
  const { chartQuery } = await import("../../../src/cptstudio/web/ui/pages/run/charts.js");
  const { compareQuery } = await import("../../../src/cptstudio/web/ui/pages/compare/curves.js");
  navigate("/runs/r-1?x=time&from=5&to=x&smooth=7&log=1");
  const { buckets, ...asked } = chartQuery();
  assert.deepEqual(asked, { x: "time", from: 5, to: null, log: true, clip: false, smoothing: 0.999 });
  navigate("/runs/r-1?x=constructor&smooth=0");
  assert.deepEqual([chartQuery().x, chartQuery().smoothing], ["step", 0]);
  navigate("/compare?runs=a,,b&x=tokens&to=0");
  assert.deepEqual(compareQuery(), { runs: ["a", "b"], x: "tokens", from: null, to: 0, log: false });
});

test("models in a query: commas of folders, and what references mean", async () => {
  const { findModel, modelsFromQuery, modelsToQuery, resolved } =
    await import("../../../src/cptstudio/web/ui/components/model_choice.js");
  const references = ["/models/a,b", "run-1@last"];
  assert.deepEqual(modelsFromQuery(modelsToQuery(references)), references);
  assert.deepEqual(modelsFromQuery(undefined), []);
  const models = /** @type {any[]} */ ([
    { reference: "base", run: null }, { reference: "run-1@100", run: "run-1", step: 100, best: true },
    { reference: "run-1@200", run: "run-1", step: 200, last: true },
  ]);
  const meant = ["base", "run-1", "run-1@best", "run-1@200", "run-1@300"].map((one) => findModel(models, one));
  assert.deepEqual(meant.map((model) => model?.reference), ["base", "run-1@200", "run-1@100", "run-1@200", undefined]);
  assert.deepEqual(resolved(models, ["run-1@last", "run-1@200", "other"]), ["run-1@200", "other"]);
});

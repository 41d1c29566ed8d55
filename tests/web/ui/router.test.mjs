// The view that a URL holds. Node has no browser around it: location and history are the test's.
import assert from "node:assert/strict";
import test from "node:test";

/** @type {string[]} */
const entries = [];
const go = (/** @type {string} */ url) => Object.assign(location, {
  pathname: new URL(url, "http://host").pathname, search: new URL(url, "http://host").search,
});
globalThis.location = /** @type {any} */ ({});
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

// New run: its steps, its drafts, and the plan in a few words.
import assert from "node:assert/strict";
import test from "node:test";
import { Drafts, PLAIN } from "../../../src/cptstudio/web/ui/pages/new_run/drafts.js";
import { epochsWords, judge, shortPlan } from "../../../src/cptstudio/web/ui/pages/new_run/plan_words.js";
import { presetOf, PRESETS, withPreset } from "../../../src/cptstudio/web/ui/pages/new_run/presets.js";
import { isComplete, neighbour, shownStep, stepOfSetting } from "../../../src/cptstudio/web/ui/pages/new_run/steps.js";

const MODEL = { "model.path": "toy" };
const BOTH = { ...MODEL, "data.corpora": [{ name: "law", role: "domain", weight: 1 }] };

/** A tab's storage. */
function storage() {
  const kept = new Map();
  return {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ text) => void kept.set(key, text),
    removeItem: (/** @type {string} */ key) => void kept.delete(key),
    key: (/** @type {number} */ place) => [...kept.keys()][place] ?? null,
    get length() { return kept.size; },
  };
}

test("the step that is shown is the address's, else the first one with something left to choose", () => {
  assert.deepEqual([undefined, "review", "nonsense"].map((named) => shownStep(named, {})),
    ["model", "review", "model"]);
  assert.deepEqual([MODEL, BOTH].map((values) => shownStep(undefined, values)), ["data", "training"]);
  assert.equal(isComplete("data", { "data.corpora": [{ name: "law", role: "evaluation" }] }), false);
  assert.deepEqual([neighbour("model", -1), neighbour("model", 1), neighbour("review", 1)], [null, "data", null]);
});

test("every field has a step", () => {
  const of = ["model", "model.path", "model.trust_remote_code", "data", "data.corpora.0.weight", "data.replay_share",
    "data.sequence_length", "length", "optimizer.learning_rate", "name", "machine", "fit"].map(stepOfSetting);
  assert.deepEqual(of, ["model", "model", "training", "data", "data", "data", "training", "training", "training",
    "review", "review", "review"]);
});

test("drafts stay apart, the newest other one is offered, the oldest go", () => {
  const drafts = new Drafts(storage());
  const draft = (/** @type {number} */ saved) => ({ values: MODEL, name: null, url: "/new?model=toy", saved });
  drafts.keep(PLAIN, draft(1));
  drafts.keep("a", draft(2));
  assert.deepEqual(drafts.find("a"), draft(2));
  assert.equal(drafts.newestBesides("a")?.id, PLAIN);
  assert.equal(drafts.newestBesides("b")?.id, "a");
  drafts.forget("a");
  assert.equal(drafts.find("a"), null);
  for (let number = 10; number < 30; number += 1) drafts.keep(`n${number}`, draft(number));
  assert.deepEqual([drafts.find(PLAIN), drafts.find("n10"), drafts.find("n22")?.saved], [null, null, 22]);
});

test("where the store is full, no older state of a draft comes back", () => {
  const store = storage();
  const drafts = new Drafts(store);
  drafts.keep("a", { values: MODEL, name: null, url: "/new", saved: 1 });
  store.setItem = () => { throw new Error("full"); };
  drafts.keep("a", { values: BOTH, name: null, url: "/new", saved: 2 });
  assert.equal(drafts.find("a"), null);
});

test("a draft that was damaged is none, and leads nowhere else", () => {
  const store = storage();
  for (const text of ["{", "null", "7", '{"values":3}']) {
    store.setItem("cpt-studio.new-run.x", text);
    assert.equal(new Drafts(store).find("x"), null);
  }
  store.setItem("cpt-studio.new-run.x", JSON.stringify({ values: {}, url: "https://elsewhere.test/" }));
  assert.deepEqual(new Drafts(store).find("x"), { values: {}, name: null, url: "/new", saved: 0 });
});

test("the plan in a few words", () => {
  assert.deepEqual([judge(1, 2), judge(9, 10), judge(9, 10, 9), judge(11, 10), judge(1, 0)],
    ["fits", "tight", "fits", "too-much", "too-much"]);
  assert.deepEqual([1, 0.4, 2.345, 0.004].map(epochsWords), ["1 epoch", "0.4 epochs", "2.35 epochs", "0.004 epochs"]);
  const facts = /** @type {any} */ ({ memory_bytes: 434e6, memory_available_bytes: 25.3e9,
    memory_room_bytes: 20e9, steps: 120, tokens: 61_440,
    disk_needed_bytes: 2e9, disk_free_bytes: null, evaluation_part: 0.5 });
  assert.deepEqual(shortPlan(facts, 2).map((one) => `${one.title}: ${one.text}`),
    ["Memory: 434 MB of 25.3 GB", "Time: 6 min", "Steps: 120 · 61.4k tokens", "Disk: 2.0 GB"]);
  assert.equal(shortPlan(facts, null)[1]?.text, "not measured");
  assert.equal(shortPlan({ ...facts, disk_free_bytes: 1e9 }, null)[3]?.judgement, "too-much");
});

test("a preset decides about its settings alone, and is known again", () => {
  const own = { ...BOTH, "batch.size": 2 };
  for (const preset of PRESETS) {
    const values = withPreset({ ...own, length: "7 steps", "method.kind": "dora" }, preset);
    assert.equal(presetOf(values)?.id, preset.id);
    assert.deepEqual(values, { ...own, ...preset.values });
  }
  assert.equal(presetOf({ ...own, length: "7 steps" }), null);
});

// The form's settings: what the schema says of them, and trees of what was chosen.
import assert from "node:assert/strict";
import test from "node:test";
import { isName } from "../../../src/cptstudio/web/ui/lib/names.js";
import { readSettings } from "../../../src/cptstudio/web/ui/lib/settings_schema.js";
import { shown, typedNumber } from "../../../src/cptstudio/web/ui/lib/typed_number.js";
import { fromTree, splitLength, suggestName, toTree } from "../../../src/cptstudio/web/ui/pages/new_run/tree.js";

const SCHEMA = {
  $defs: {
    Optimizer: { type: "object", properties: {
      kind: { title: "Optimizer", enum: ["adamw", "muon"], default: "adamw", basic: true },
      rate: { anyOf: [{ type: "number", exclusiveMinimum: 0, maximum: 1 }, { type: "null" }], default: null,
        unit: "%" },
    } },
  },
  group_titles: { "": "Run", optimizer: "How it learns" },
  required: ["name"],
  properties: {
    name: { type: "string", title: "Name" },
    length: { type: "string", format: "length", default: { value: 1, unit: "epochs" } },
    optimizer: { allOf: [{ $ref: "#/$defs/Optimizer" }], default: {} },
  },
};

test("settings are read from their schema", () => {
  const [name, length, kind, rate] = readSettings(SCHEMA);
  assert.deepEqual([name.name, name.kind, name.initial, name.group], ["name", "text", undefined, ""]);
  assert.deepEqual([length.kind, length.initial], ["length", "1 epochs"]);
  assert.deepEqual([kind.name, kind.kind, kind.choices, kind.basic],
    ["optimizer.kind", "choice", ["adamw", "muon"], true]);
  assert.deepEqual([rate.automatic, rate.unit, rate.kind], [true, "%", "number"]);
  assert.deepEqual(rate.limits, { whole: false, unit: "%", least: undefined, most: 1, above: 0, below: undefined });
  assert.deepEqual([name.heading, kind.heading, rate.heading], ["Run", "How it learns", "How it learns"]);
});

test("a tree holds what differs from the defaults, and what is no setting", () => {
  const settings = readSettings(SCHEMA);
  const values = { name: "a", "optimizer.rate": 0.5 };
  assert.deepEqual(toTree(values), { name: "a", optimizer: { rate: 0.5 } });
  assert.deepEqual(fromTree({ ...toTree(values), length: "1 epochs", other: { x: 1 } }, settings),
    { ...values, other: { x: 1 } });
});

test("what was typed", () => {
  assert.deepEqual(["", "0,5", "x 5", "1,000"].map((text) => typedNumber(text)), [null, 0.5, "x 5", "1,000"]);
  assert.deepEqual([null, 0.00005, 0, 12, "x"].map(shown), ["", "5e-5", "0", "12", "x"]);
  assert.deepEqual(splitLength("2M tokens"), { amount: "2M", unit: "tokens" });
  assert.deepEqual([splitLength("1 step").unit, splitLength("5", "steps").unit, splitLength(null).unit],
    ["steps", "steps", "epochs"]);
});

test("names", () => {
  const values = { "data.corpora": [{ name: "law texts", role: "domain" }], "model.path": "org/Small-1B/" };
  assert.equal(suggestName(values, new Set()), "law-texts-Small-1B-1");
  assert.equal(suggestName(values, new Set(["law-texts-Small-1B-1"])), "law-texts-Small-1B-2");
  assert.equal(suggestName({}, new Set()), "run-1");
  assert.deepEqual(["a", ".a", "a b", "x".repeat(65)].map(isName), [true, false, false, false]);
});

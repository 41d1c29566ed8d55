// What is asked of models, as the forms have it and as the server's schemas say, which Python's test hands over.
import assert from "node:assert/strict";
import test from "node:test";
import { samplingSchema, suiteSampling, textSampling } from "../../../src/cptstudio/web/ui/lib/sampling.js";
import * as heldOut from "../../../src/cptstudio/web/ui/pages/evaluate/held_out.js";
import { presetOf, PRESETS, problemOf, queryOf, samplingOf,
  stopStrings } from "../../../src/cptstudio/web/ui/pages/playground/sampling.js";

const measured = JSON.parse(process.env["MEASURED_SCHEMA"] ?? "null").properties;
samplingSchema.value = JSON.parse(process.env["SAMPLING_SCHEMA"] ?? "null");
const setting = (name) => textSampling.value.find((one) => one.name === name);

test("fields and usual values are the server's", () => {
  const usual = (settings) => Object.fromEntries(settings.map(({ name, initial }) => [name, initial]));
  const { properties } = samplingSchema.value.$defs.Sampling;
  const numbers = Object.keys(properties).filter((name) => name !== "stop");
  assert.deepEqual(Object.keys(usual(textSampling.value)), numbers);
  assert.equal(usual(textSampling.value).max_tokens, 100);
  assert.deepEqual(usual(suiteSampling.value), { ...usual(textSampling.value), max_tokens: 64 });
  const { text, chat } = samplingSchema.value.playground;
  assert.deepEqual(samplingOf({}), { ...usual(textSampling.value), ...text, stop: [] });
  assert.deepEqual(samplingOf({ mode: "chat" }), { ...usual(textSampling.value), ...chat, stop: [] });
});

test("bounds are the server's, and so are the words", () => {
  assert.equal(problemOf(setting("min_p"), "0.9999"), "");
  assert.equal(problemOf(setting("min_p"), "1"), "Use a value below 1.");
  assert.equal(problemOf(setting("repetition_penalty"), "0.001"), "");
  assert.equal(problemOf(setting("repetition_penalty"), "0"), "Use a value above 0.");
  assert.equal(problemOf(setting("max_tokens"), "100000"), "");
  assert.equal(problemOf(setting("temperature"), "11"), "Use at most 10.");
  assert.equal(problemOf(setting("context_length"), "7"), "Use at least 8.");
});

test("nothing that was typed is left out", () => {
  const typed = Array.from({ length: 20 }, (_, index) => `end ${index}`);
  assert.deepEqual(stopStrings(typed.join("\n")), typed);
  assert.equal(queryOf(samplingOf({ max_tokens: "7", seed: "3" }), [], "text").max_tokens, "7");
});

test("each preset is known by its values, and so is what was asked with it", () => {
  for (const { title, values } of PRESETS) {
    const query = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
    assert.equal(presetOf(query), title);
    assert.equal(presetOf({ ...query, max_tokens: "7", seed: "3" }), title);
    const again = queryOf(samplingOf(query), [], "text");
    assert.deepEqual(samplingOf(Object.fromEntries(Object.entries(again).filter(([, value]) => value))),
      samplingOf(query));
  }
  const { temperature, repetition_penalty: penalty } = samplingOf(PRESETS[1].values);
  assert.deepEqual([temperature, penalty], [0, 1]);
  assert.equal(presetOf({ temperature: "0.3" }), "");
  assert.equal(queryOf(samplingOf({ temperature: "0" }), [], "text").temperature, "0");
});

test("what is measured on held-out text has the server's bounds and usual values", () => {
  const bounds = ({ minimum, maximum, unit }) => ({ whole: true, least: minimum, most: maximum, unit });
  const ofWindows = (name) => ({ ...bounds(measured[name].anyOf[0]), unit: measured[name].unit });
  assert.deepEqual(heldOut.BYTES, bounds(measured.max_bytes));
  assert.deepEqual([heldOut.CONTEXT, heldOut.STRIDE], [ofWindows("context_length"), ofWindows("stride")]);
  assert.equal(heldOut.USUAL_BYTES, measured.max_bytes.default);
  assert.equal(heldOut.USUAL_SHARES, process.env["USUAL_SHARES"]);
  const chat = JSON.parse(process.env["CHAT_SCHEMA"] ?? "{}").properties.max_tokens;
  assert.deepEqual(heldOut.ANSWER_TOKENS, { whole: true, least: chat.minimum, most: chat.maximum, unit: chat.unit });
  assert.equal(heldOut.USUAL_ANSWER_TOKENS, chat.default);
  assert.equal(heldOut.USUAL_STRENGTHS, process.env["USUAL_STRENGTHS"]);
});

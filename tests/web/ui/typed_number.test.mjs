// The pages' reading of numbers, held to the table of typed_numbers.json by Node's own runner.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { readNumber, readNumbers } from "../../../src/cptstudio/web/ui/lib/typed_number.js";

const { cases } = JSON.parse(readFileSync(new URL("../../typed_numbers.json", import.meta.url), "utf-8"));

for (const [text, options, meant] of cases) {
  test(`${JSON.stringify(text)} ${JSON.stringify(options)}`, () => {
    const { number, problem } = readNumber(text, options);
    if (meant === "refused") {
      assert.equal(number, null);
      assert.match(problem, /^Enter a /);
    } else if (Array.isArray(meant)) {
      assert.equal(number, null);
      assert.ok(problem.includes(`could mean ${meant[0]} or ${meant[1]}.`), problem);
    } else {
      assert.equal(problem, "");
      assert.equal(number, meant);
    }
  });
}

test("lists", () => {
  for (const [text, meant] of [
    ["0, 0.25, 0.5, 0.75, 1", [0, 0.25, 0.5, 0.75, 1]],
    ["0,0.25,0.5", [0, 0.25, 0.5]],
    ["0,25; 0,5; 1", [0.25, 0.5, 1]],
    ["0,25 0,5", [0.25, 0.5]],
    ["0,25, 0,5, 1", [0.25, 0.5, 1]],
    ["1", [1]],
    ["50%", [0.5]],
    ["0,5", null],
    ["0,1,2", null],
    ["0,0.5", [0, 0.5]],
    ["", null],
    ["0, x", null],
    ["0, 1,000", null],
  ]) {
    assert.deepEqual(readNumbers(text), meant, text);
  }
});

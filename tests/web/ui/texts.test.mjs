// What is computed about texts: changed words, pieces of several tokenizers, where two texts part.
import assert from "node:assert/strict";
import test from "node:test";
import { cellsOf } from "../../../src/cptstudio/web/ui/pages/evaluate/heat_cells.js";
import { partsOf } from "../../../src/cptstudio/web/ui/components/text_difference.js";
import { Departure, pieceAt } from "../../../src/cptstudio/web/ui/pages/playground/departure.js";

test("words that changed", () => {
  assert.deepEqual(partsOf("the red fox  ran", "the blue fox  ran"), [
    { text: "the", changed: false }, { text: " red", changed: true }, { text: " fox  ran", changed: false },
  ]);
  assert.deepEqual(partsOf("same", "same"), [{ text: "same", changed: false }]);
  assert.deepEqual(partsOf("a b", "a b c"), [{ text: "a b", changed: false }]);
  assert.deepEqual(partsOf("", "x"), []);
  const long = Array.from({ length: 900 }, (_, at) => `word${at}`).join(" ");
  assert.equal(partsOf(long, `other ${long}`).map((part) => part.text).join(""), long);
});

test("pieces where tokens of different tokenizers end together", () => {
  // Both end after "a🐍" (3 units, 2 code points), and at the end; the middle is cut differently.
  const text = "a🐍bcd";
  const scored = [
    { places: [[0, 1], [1, 2], [1, 2], [2, 4], [4, 5]], nats: [1, 2, 3, 4, 5] },
    { places: [[0, 2], [2, 3], [3, 5]], nats: [10, 20, "NaN"] },
  ];
  const { cells, rest } = cellsOf(text, scored);
  const found = cells.map((cell) => [text.slice(cell.from, cell.to), cell.tokens, cell.nats.map(String)]);
  assert.deepEqual(found, [["a🐍", [3, 1], ["6", "10"]], ["bcd", [2, 2], ["9", "NaN"]]]);
  assert.equal(text.slice(rest), "");
});

test("where two growing texts part", () => {
  const departure = new Departure();
  const one = { pieces: [], string: "ab" };
  const other = { pieces: [], string: "abc" };
  assert.equal(departure.find(one, other), null);
  Object.assign(one, { string: "abd" });
  assert.equal(departure.find(one, other), 2);
  assert.equal(departure.find({ pieces: [], string: "x" }, other), 0);
  const pieces = [{ text: "ab" }, { text: "" }, { text: "c" }];
  assert.deepEqual([0, 1, 2, 9].map((place) => pieceAt(pieces, place)), [0, 0, 2, 2]);
});

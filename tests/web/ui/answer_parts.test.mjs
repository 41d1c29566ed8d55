/** The parts of an answer are those that the command line shows: both are held to tests/answer_parts.json. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { partsOf, saidAgain } from "../../../src/cptstudio/web/ui/lib/answer_parts.js";

const cases = JSON.parse(readFileSync(new URL("../../answer_parts.json", import.meta.url), "utf8"));
const tags = JSON.parse(process.env.ANSWER_TAGS ?? "[]");

test("an answer's parts, and what is said of it again", () => {
  for (const { answer, opens = "", parts, again } of cases) {
    assert.deepEqual(partsOf(answer, tags, opens).map((part) => [part.kind, part.text, part.open]), parts, answer);
    assert.deepEqual(saidAgain(answer, tags, opens), { role: "assistant", ...again }, answer);
  }
});

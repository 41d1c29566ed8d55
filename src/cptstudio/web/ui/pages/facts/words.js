/** What the page calls ways, states and groups of facts. */

import { percent } from "../../lib/format.js";

/** @param {string} by */
export const wayWords = (by) => ({ hand: "by hand", cloze: "from a corpus", model: "by a local model",
  endpoint: "by an endpoint" }[by] ?? by);

/** In the order of the bars. @type {[string, string, string][]} id, words, and what it means */
export const STATES = [
  ["known_before", "Known before", "The baseline knew it, or preferred the right answer."],
  ["learned", "Learned", "The model knows it, and the baseline did not prefer the right answer."],
  ["forgotten", "Forgotten", "The baseline knew it, and the model no longer prefers the right answer."],
  ["unknown", "Unknown", "Anything else: the right answer does not lead clearly enough to be more than a guess."],
];

/** @type {Record<string, string>} */
export const GROUPS = { trained: "Trained on", held_out: "Held out", all: "All facts" };

/** @type {Record<string, string>} */
export const FORMS = { cloze: "Cloze", question: "Question", paraphrase: "Paraphrase", reversed: "Reversed" };

/** @type {Record<string, string>} */
export const LEAKS = { wording: "Question in training text", held_out: "Held-out sentence in training text",
  elsewhere: "Sentence repeated in another corpus" };

/** A share with its interval. @param {any} share */
export const shareWords = (share) => (share == null ? "–"
  : `${percent(share.value)} (${percent(share.low)} to ${percent(share.high)})`);

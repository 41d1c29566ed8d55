/** What is different in two texts: where they part, and the words that changed. */

import { h } from "../lib/preact.js";

/** Above this many words on both sides the rest counts as changed: the comparison takes their product. */
const MOST_WORDS = 400;

/** @param {string} text @returns {string[]} words with the white space behind them */
const words = (text) => text.match(/\s*\S+|\s+$/gu) ?? [];

/**
 * The parts of `text` against `other`.
 * @param {string} text @param {string} other
 * @returns {{text: string, changed: boolean}[]} joined they are `text`
 */
export function partsOf(text, other) {
  if (text === other) return [{ text, changed: false }];
  const mine = words(text);
  const theirs = words(other);
  let start = 0;
  while (start < mine.length && start < theirs.length && mine[start] === theirs[start]) start += 1;
  let end = 0;
  while (end < mine.length - start && end < theirs.length - start
    && mine[mine.length - 1 - end] === theirs[theirs.length - 1 - end]) end += 1;
  const middle = mine.slice(start, mine.length - end);
  const kept = commonWords(middle, theirs.slice(start, theirs.length - end));
  /** @type {{text: string, changed: boolean}[]} */
  const parts = [];
  const add = (/** @type {string} */ piece, /** @type {boolean} */ changed) => {
    const last = parts[parts.length - 1];
    if (last && last.changed === changed) last.text += piece;
    else if (piece !== "") parts.push({ text: piece, changed });
  };
  mine.slice(0, start).forEach((word) => add(word, false));
  middle.forEach((word, at) => add(word, !kept.has(at)));
  mine.slice(mine.length - end).forEach((word) => add(word, false));
  return parts;
}

/**
 * Which words are in the longest common subsequence.
 * @param {string[]} mine @param {string[]} theirs
 * @returns {Set<number>} indices of `mine`
 */
function commonWords(mine, theirs) {
  const kept = new Set();
  if (mine.length > MOST_WORDS || theirs.length > MOST_WORDS) return kept;
  const width = theirs.length + 1;
  const longest = new Uint16Array((mine.length + 1) * width);
  for (let at = mine.length - 1; at >= 0; at -= 1) {
    for (let of = theirs.length - 1; of >= 0; of -= 1) {
      longest[at * width + of] = mine[at] === theirs[of]
        ? longest[(at + 1) * width + of + 1] + 1
        : Math.max(longest[(at + 1) * width + of], longest[at * width + of + 1]);
    }
  }
  for (let at = 0, of = 0; at < mine.length && of < theirs.length;) {
    if (mine[at] === theirs[of]) {
      kept.add(at);
      at += 1;
      of += 1;
    } else if (longest[(at + 1) * width + of] >= longest[at * width + of + 1]) at += 1;
    else of += 1;
  }
  return kept;
}

/**
 * A text with what changed in it marked; without `other` as it is.
 * @param {{text: string, other: string | null}} props
 */
export function MarkedText({ text, other }) {
  if (other === null || text === other) return text;
  const parts = partsOf(text, other);
  const first = parts.findIndex((part) => part.changed);
  if (first < 0) return [text, h("span", { class: "departure", title: "Ends here; the baseline continues" }, "⊣")];
  return parts.map((part, at) => (part.changed
    ? [at === first && h("span", { key: `d${at}`, class: "departure", title: "Outputs diverge here" }, "▸"),
      ...lines(part.text, at)]
    : h("span", { key: at }, part.text)));
}

/**
 * Marks for the lines of a piece, but not for the white space that begins them.
 * @param {string} piece @param {number} at
 */
function lines(piece, at) {
  return piece.split(/(\s*\n\s*|^\s+)/).filter(Boolean).map((line, number) =>
    (line.trim() === "" ? line : h("mark", { key: `${at} ${number}`, class: "changed-words" }, line)));
}

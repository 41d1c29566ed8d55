/** Tokens for the eye: spaces, line ends and what has no shape of its own get one. */

/** @type {Record<string, string>} */
const SIGNS = { " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍" };
// Controls, the soft hyphen, other spaces, and what turns or joins its neighbours unseen.
const SHAPELESS = /[\s\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;

/** @param {string} text */
export function visible(text) {
  return text.replace(SHAPELESS, (sign) =>
    SIGNS[sign] ?? `U+${/** @type {number} */ (sign.codePointAt(0)).toString(16).toUpperCase().padStart(4, "0")}`);
}

/** For the ear: the same in words where the token is nothing else. @param {string} text */
export function spoken(text) {
  const words = /** @type {Record<string, string>} */ ({ "": "part of a character", " ": "space",
    "\n": "newline", "\t": "tab" });
  return words[text] ?? visible(text);
}

/** A probability: two digits, and never a bare 0 or 100 for what is not. @param {number} value */
export function chance(value) {
  if (!Number.isFinite(value)) return "–";
  const percent = value * 100;
  if (percent < 0.01) return "< 0.01%";
  if (percent > 99.99 && value < 1) return "> 99.99%";
  return `${percent.toFixed(percent >= 10 ? 1 : 2)}%`;
}

/** Which of five shades a probability has: 0 the most certain. @param {number} value */
export function shade(value) {
  if (!Number.isFinite(value)) return 0;
  return value >= 0.8 ? 0 : value >= 0.5 ? 1 : value >= 0.2 ? 2 : value >= 0.05 ? 3 : 4;
}

/** The shades in words. */
export const SHADES = ["80% or more", "50–80%", "20–50%", "5–20%", "below 5%"];

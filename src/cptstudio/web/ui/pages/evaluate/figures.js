/** How figures and their differences are said. */

import { Badge } from "../../components/badge.js";
import { h } from "../../lib/preact.js";

/** A change with its sign in per cent. @param {number | null | undefined} share @param {number=} digits */
export function signedPercent(share, digits = 2) {
  if (typeof share !== "number" || !Number.isFinite(share)) return "–";
  const text = Math.abs(share * 100).toFixed(digits);
  const sign = /[1-9]/.test(text) ? (share > 0 ? "+" : "−") : "±";
  return `${sign}${text} %`;
}

/**
 * The word on a difference: the words and the arrow (of bits per byte) carry the meaning, the colour only helps.
 * @param {{difference: {value: number, sure: boolean}}} props
 */
export function Verdict({ difference }) {
  if (!difference.sure) return h(Badge, { class: "verdict" }, "not sure");
  return difference.value < 0 ? h(Badge, { tone: "good", class: "verdict" }, "▼ better") : h(Badge, { tone: "bad", class: "verdict" }, "▲ worse");
}

/** @param {any} difference @param {number} base bits per byte of the model it is compared with */
export function intervalText(difference, base) {
  if (difference.low === null || difference.high === null || !base) return "no interval";
  return `${signedPercent(difference.low / base)} to ${signedPercent(difference.high / base)}`;
}

/** A number of several significant digits that never becomes an exponent. @param {any} value @param {number=} digits */
export function plain(value, digits = 3) {
  return typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : String(value ?? "–");
}

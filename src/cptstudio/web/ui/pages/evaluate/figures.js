/** How figures and their differences are said. */

import { Badge } from "../../components/elements.js";
import { saveCsv } from "../../lib/download.js";
import { bits } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/** A change with its sign in percent. @param {number | null | undefined} share @param {number=} digits */
export function signedPercent(share, digits = 2) {
  if (typeof share !== "number" || !Number.isFinite(share)) return "–";
  const text = Math.abs(share * 100).toFixed(digits);
  const sign = /[1-9]/.test(text) ? (share > 0 ? "+" : "−") : "±";
  return `${sign}${text}%`;
}

const CLAIMS = { better: "▼ better", worse: "▲ worse", hardly: "negligible change", unsure: "inconclusive",
  "too little": "too little text" };

/** @typedef {{value: number, low: number | null, high: number | null, documents: number, better: number,
 *   sure: boolean, claim?: keyof typeof CLAIMS}} Difference */

/** What these words mean. */
export const CLAIM_RULES = "▼ better and ▲ worse: the interval excludes 0 and the change is at least 0.5%. "
  + "Inconclusive: the interval includes 0. Too little text: fewer than 8 documents, or a few documents hold nearly "
  + "all the text.";

/** Whether it is claimed that there is a change. @param {Difference | undefined} difference */
export const isSure = (difference) => difference?.claim === "better" || difference?.claim === "worse";

/**
 * What is claimed of a difference. Results of before by other rules name no claim, so none is made for them.
 * @param {Difference} difference
 */
function claimed({ claim }) {
  return claim === undefined ? null : CLAIMS[claim];
}

/**
 * The word on a difference: the words and the arrow (of bits per byte) carry the meaning, the color only helps.
 * @param {{difference: Difference}} props
 */
export function Verdict({ difference }) {
  const words = claimed(difference);
  const tone = difference.claim === "better" ? "good" : difference.claim === "worse" ? "bad" : undefined;
  return words && h(Badge, { tone, class: "sureness" }, words);
}

/**
 * A set's bits per byte with the change against the base, and what else is said of it.
 * @param {{figures: any, base: any, title?: string, children?: any}} props
 */
export function FiguresCell({ figures, base, title, children }) {
  const { difference } = figures;
  const change = () => [
    h("span", { class: "matrix-change", key: "change" },
      h("span", { class: "figures" }, signedPercent(difference.value / base.bits_per_byte)), " ",
      h(Verdict, { difference })),
    h("span", { class: "hint figures", key: "interval" }, intervalText(difference, base.bits_per_byte)),
  ];
  return h("div", { class: "matrix-cell", title },
    h("strong", { class: "figures" }, bits(figures.bits_per_byte)), difference && change(), children);
}

/**
 * Save sets' figures as CSV: all that are single numbers, and the difference from the base.
 * @param {string[]} names of what stands before the figures
 * @param {{cells: any[], figures: any}[]} rows @param {string} file
 */
export function saveFigures(names, rows, file) {
  const columns = Object.entries(rows[0]?.figures ?? {}).filter(([, value]) => typeof value !== "object");
  const keys = columns.map(([name]) => name);
  saveCsv([...names, ...keys, "difference", "low", "high", "claim", "documents_better"],
    rows.map(({ cells, figures }) => {
      const { value, low, high, claim, better } = figures.difference ?? {};
      return [...cells, ...keys.map((name) => figures[name]), value, low, high, claim, better];
    }), file);
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

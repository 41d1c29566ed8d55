/** What a run's evaluations say, as the server puts it: a sentence with its certainty, or a few words. */
import { integer } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { Badge } from "./elements.js";

/** @typedef {"good" | "warn" | "bad" | "neutral"} Tone */
/** @typedef {{kind: string, tone: Tone, text: string, short: string}} Part */
/**
 * @typedef {{text: string, short: string, tone: Tone, parts: Part[], advice: string, merge: boolean,
 *   step: number | null, basis: string}} Verdict
 */

const ICONS = /** @type {Record<Tone, string>} */ ({ good: "check", warn: "alert", bad: "alert", neutral: "info" });

/** Its sentences. @param {{verdict: Verdict, merge?: string}} props merge: where a merge is measured */
export function VerdictText({ verdict, merge }) {
  return h("p", { class: "verdict-text" },
    verdict.parts.map((part) =>
      [h("span", { key: part.kind + part.text, class: `verdict-${part.tone}` }, part.text), " "]),
    verdict.advice && (verdict.merge
      ? h("a", { href: merge ?? "/evaluate?view=merge" }, verdict.advice)
      : verdict.advice));
}

/** The whole verdict of a run, with how it was measured. @param {{run: any, merge?: string}} props */
export function RunVerdict({ run, merge }) {
  const verdict = /** @type {Verdict | null | undefined} */ (run.verdict);
  if (!verdict) return null;
  return h("section", { class: `run-verdict verdict-${verdict.tone}`, "aria-label": "Verdict" },
    h(VerdictText, { verdict, merge }),
    verdict.step != null && verdict.basis !== ""
      && h("p", { class: "hint" }, `At step ${integer(verdict.step)}. ${verdict.basis}`));
}

/** The same in a few words, for lists. @param {{verdict: Verdict | null | undefined}} props */
export function ShortVerdict({ verdict }) {
  const parts = (verdict?.parts ?? []).filter((part) => part.short);
  if (!verdict || !parts.length) return null;
  return h("span", { class: "verdict-short", title: verdict.text },
    parts.map((part) => h(Badge, { key: part.short, tone: part.tone === "neutral" ? "quiet" : part.tone,
      icon: ICONS[part.tone] }, part.short)));
}

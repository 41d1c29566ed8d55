/** Figures that are read at a glance: tiles in a row, and how full something is. */
import { h } from "../lib/preact.js";
import { Icon } from "./icons.js";

/** Tiles side by side, each one figure. @param {{children?: any}} props */
export function Stats({ children }) {
  return h("dl", { class: "stats" }, children);
}

/**
 * One figure with its name. What was not measured is an en dash, never a guess.
 *
 * @param {{title: string, value: any, note?: any, icon?: string, tone?: "good" | "bad" | "warn" | "info",
 *   children?: any}} props tone: of the note, whose words say the same; children: a small curve or a meter
 */
export function Stat({ title, value, note, icon, tone, children }) {
  return h("div", { class: "stat" },
    h("dt", {}, icon && h(Icon, { name: icon }), title),
    h("dd", {}, h("span", { class: "stat-value" }, value),
      note && h("span", { class: tone ? `stat-note stat-${tone}` : "stat-note" }, note),
      children));
}

const NEARLY_FULL = 0.85;
const FULL = 0.97;

/**
 * How full something is; the words beside it say the same.
 *
 * @param {{label: string, value: number | null | undefined, max: number | null | undefined, text: string}} props
 */
export function Meter({ label, value, max, text }) {
  if (value == null || !max) return null;
  const share = Math.max(0, Math.min(1, value / max));
  const tone = share >= FULL ? " meter-full" : share >= NEARLY_FULL ? " meter-tight" : "";
  return h("svg", { class: `meter${tone}`, viewBox: "0 0 100 4", preserveAspectRatio: "none", role: "meter",
    "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share),
    "aria-valuetext": text },
    h("rect", { width: (100 * share).toFixed(1), height: 4 }));
}

import { h } from "../lib/preact.js";

const WIDTH = 96;
const HEIGHT = 24;

/**
 * The course of a value as a small curve, for the eye; the numbers stand beside it.
 *
 * @param {{values: number[], label: string, stretch?: boolean}} props
 */
export function Sparkline({ values, label, stretch }) {
  if (!values || values.length < 2) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const low = sorted[0];
  const high = sorted[Math.min(sorted.length - 1, Math.round(sorted.length * 0.98))];
  const span = high - low || 1;
  const points = values.map((value, at) => {
    const x = 1 + (at / (values.length - 1)) * (WIDTH - 2);
    const y = HEIGHT - 2 - (Math.min(1, (value - low) / span)) * (HEIGHT - 4);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return h("svg", { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img",
    preserveAspectRatio: stretch ? "none" : undefined, "aria-label": label },
    h("path", { "vector-effect": "non-scaling-stroke", d: `M${points.join("L")}` }));
}

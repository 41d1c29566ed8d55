/** The icon in the browser's tab: how far the active run is, as a ring that stays readable at 16 pixels. */
import { status } from "./live.js";
import { effect } from "./preact.js";

const SIZE = 32;
const STEPS = 50;
const COLOURS = { ground: "#1d4f91", track: "rgba(255, 255, 255, 0.28)", done: "#ffb454" };

/** How far the active run is, of 50; null where none is active. @param {any} now what the status tells */
export function shareOf(now) {
  const [run] = now?.active || [];
  if (!run) return null;
  return run.planned_steps ? Math.floor((STEPS * Math.min(run.step ?? 0, run.planned_steps)) / run.planned_steps) : 0;
}

/** @param {number} done of 50 */
function drawn(done) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const context = canvas.getContext("2d");
  if (!context) return null;
  context.fillStyle = COLOURS.ground;
  context.beginPath();
  context.roundRect(0, 0, SIZE, SIZE, 7);
  context.fill();
  context.lineWidth = 6;
  /** @type {[string, number][]} */
  const rings = [[COLOURS.track, 1], [COLOURS.done, done / STEPS]];
  for (const [colour, share] of rings) {
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(SIZE / 2, SIZE / 2, 9.5, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * share);
    if (share > 0) context.stroke();
  }
  return canvas.toDataURL("image/png");
}

/** Keep the icon as the active run is; drawn only when another fiftieth is done. The shell calls it once. */
export function startTabProgress() {
  const link = /** @type {HTMLLinkElement | null} */ (document.querySelector('link[rel="icon"]'));
  if (!link) return;
  const still = { href: link.href, type: link.type };
  /** @type {number | null} */
  let shown = null;
  effect(() => {
    const share = shareOf(status.value);
    if (share === shown) return;
    shown = share;
    const url = share == null ? null : drawn(share);
    link.type = url ? "image/png" : still.type;
    link.href = url ?? still.href;
  });
}

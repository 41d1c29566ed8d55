/** Points between base and trained: what they gained in the domain against what they forgot. */

import { bits, number } from "../../lib/format.js";
import { h, useEffect, useId, useRef, useState } from "../../lib/preact.js";
import { signedPercent } from "./figures.js";

/**
 * @typedef {object} Spot
 * @property {number} index of the point
 * @property {string} label
 * @property {string} short the label on the chart
 * @property {"base" | "trained" | "between"} kind
 * @property {number} x bits per byte on the domain set
 * @property {number} y bits per byte on the general set
 * @property {boolean=} gained whether the change on the domain set is sure
 * @property {boolean=} forgot whether the change on the general set is sure
 * @property {[number, number]=} interval ends of y's interval
 * @property {boolean=} apart not on the line through the others
 */

/**
 * @typedef {object} Upwards
 * @property {string} title of the axis
 * @property {(value: number) => string} text
 * @property {string} caption of the chart
 * @property {string} words what it shows
 * @property {string} hint how it is read
 * @property {number} most what an axis ends at
 */

const HEIGHT = 340;
const EDGE = { left: 66, right: 24, top: 24, bottom: 52 };
const TICKS = 5;

/** Round positions that divide a range. @param {number} low @param {number} high */
export function ticksOf(low, high) {
  const rough = (high - low) / TICKS;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((one) => one >= rough) ?? rough;
  const ticks = [];
  for (let at = Math.ceil(low / step); at * step <= high; at += 1) ticks.push(at * step);
  return { ticks, decimals: Math.max(0,
    Math.ceil(-Math.log10(step) - 1e-9) + (Math.abs(step / size - 2.5) < 1e-9 ? 1 : 0)) };
}

/** A range with room at both ends. @param {number[]} values @returns {[number, number]} */
function padded(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low) * 0.12 || Math.abs(high) * 0.02 || 0.5;
  return [low - room, high + room];
}

/** What the chart shows, in words. @param {Spot[]} spots @param {string} domain @param {string} general */
export function frontierWords(spots, domain, general) {
  const base = spots.find((spot) => spot.kind === "base");
  const trained = spots.find((spot) => spot.kind === "trained");
  if (!base || !trained) {
    return spots.map((spot) => `${spot.label}: ${bits(spot.x)} on ${domain}, ${bits(spot.y)} on ${general}.`).join(" ");
  }
  const gain = base.x - trained.x;
  const loss = trained.y - base.y;
  const between = spots.filter((spot) => spot.kind === "between").map((spot) => {
    const kept = trained.gained && gain > 0
      ? `${Math.round(((base.x - spot.x) / gain) * 100)}% of the gain`
      : `${signedPercent(spot.x / base.x - 1)} on ${domain}`;
    const forgot = trained.forgot && loss > 0
      ? `${Math.round(((spot.y - base.y) / loss) * 100)}% of the forgetting`
      : `${signedPercent(spot.y / base.y - 1)} on ${general}`;
    return `A ${spot.short} mix keeps ${kept} with ${forgot}.`;
  });
  return [`Trained vs. base: ${signedPercent(trained.x / base.x - 1)} on ${domain}, `
    + `${signedPercent(trained.y / base.y - 1)} on ${general}.`, ...between].join(" ");
}

/**
 * @param {{spots: Spot[], domain: string, general: string, chosen: number | null,
 *   onChoose: (index: number) => void, upwards?: Upwards}} props
 * domain, general: names of the two sets; upwards: what y is, where it is not bits per byte of the general set
 */
export function Frontier({ spots, domain, general, chosen, onChoose, upwards }) {
  const id = useId();
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const sized = new ResizeObserver(() => setWidth(Math.max(260, place.clientWidth)));
    sized.observe(place);
    return () => sized.disconnect();
  }, []);
  return h("figure", { class: "frontier", "aria-labelledby": `${id}-title` },
    h("figcaption", {}, h("h3", { id: `${id}-title` }, upwards?.caption ?? "Gain vs. forgetting"),
      h("p", { class: "hint" }, upwards?.words ?? frontierWords(spots, domain, general))),
    h("div", { ref: box, class: "frontier-box" },
      h(Drawing, { spots, domain, general, chosen, onChoose, width, upwards })),
    h("p", { class: "hint" }, upwards?.hint ?? "Lower left is better on both. Square: base; triangle: trained; "
      + "circles: merged. The table below has the same values; select a row to pick a model."));
}

/**
 * @param {{spots: Spot[], domain: string, general: string, chosen: number | null, onChoose: (index: number) => void,
 *   width: number, upwards: Upwards | undefined}} props
 */
function Drawing({ spots, domain, general, chosen, onChoose, width, upwards }) {
  const [x0, x1] = padded(spots.map((spot) => spot.x));
  const ends = spots.flatMap((spot) => [spot.y, ...(spot.interval ?? [])]);
  const [y0, y1] = upwards ? [-0.06 * upwards.most, 1.08 * upwards.most] : padded(ends);
  const value = upwards?.text ?? bits;
  const right = width - EDGE.right;
  const bottom = HEIGHT - EDGE.bottom;
  const x = (/** @type {number} */ value) => EDGE.left + ((value - x0) / (x1 - x0)) * (right - EDGE.left);
  const y = (/** @type {number} */ value) => bottom - ((value - y0) / (y1 - y0)) * (bottom - EDGE.top);
  const across = ticksOf(x0, x1);
  const up = ticksOf(y0, y1);
  const every = Math.ceil((across.ticks.length * 56) / (right - EDGE.left));
  const words = `${spots.length} points; `
    + `${spots.map((spot) => `${spot.label}: ${bits(spot.x)} and ${value(spot.y)}`).join("; ")}`;
  return h("svg", { class: "frontier-drawing", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img",
    "aria-label": `Bits per byte on ${domain} and ${upwards?.title ?? `on ${general}`}. ${words}` },
    across.ticks.map((tick, at) => h("g", { key: `x${tick}` },
      h("line", { class: "frontier-grid", x1: x(tick), x2: x(tick), y1: EDGE.top, y2: bottom }),
      at % every === 0 && h("text", { class: "frontier-tick", x: x(tick), y: bottom + 18, "text-anchor": "middle" },
        tick.toFixed(across.decimals)))),
    up.ticks.map((tick) => h("g", { key: `y${tick}` },
      h("line", { class: "frontier-grid", x1: EDGE.left, x2: right, y1: y(tick), y2: y(tick) }),
      h("text", { class: "frontier-tick", x: EDGE.left - 8, y: y(tick) + 4, "text-anchor": "end" },
        upwards ? upwards.text(tick) : tick.toFixed(up.decimals)))),
    h("text", { class: "frontier-axis", x: right, y: HEIGHT - 10, "text-anchor": "end" },
      `${short(domain)} (bits/byte)`),
    h("text", { class: "frontier-axis", x: 4, y: 14 }, upwards?.title ?? `${short(general)} (bits/byte)`),
    spots.map((spot) => spot.interval && h("line", { key: `i${spot.index}`, class: "frontier-interval", x1: x(spot.x),
      x2: x(spot.x), y1: y(spot.interval[0]), y2: y(spot.interval[1]) })),
    h("polyline", { class: "frontier-line", points: spots.filter((spot) => !spot.apart)
      .map((spot) => `${x(spot.x)},${y(spot.y)}`).join(" ") }),
    spots.map((spot) => h("g", { key: spot.index,
      class: `frontier-spot frontier-${spot.kind}${spot.index === chosen ? " frontier-chosen" : ""}`,
      onClick: () => onChoose(spot.index) },
      h("circle", { class: "frontier-reach", cx: x(spot.x), cy: y(spot.y), r: 16 }),
      shape(spot.kind, x(spot.x), y(spot.y)),
      label(spot, x(spot.x), y(spot.y), right))));
}

/**
 * The base's label stands below its mark: at the chart's edge the next point's is above.
 * @param {Spot} spot @param {number} x @param {number} y @param {number} right
 */
function label(spot, x, y, right) {
  const end = x > right - 60;
  return h("text", { class: "frontier-label", x: x + (end ? 8 : 11), y: spot.kind === "base" ? y + 22 : y - 9,
    "text-anchor": end ? "end" : "start" }, spot.short);
}

/** @param {Spot["kind"]} kind @param {number} x @param {number} y */
function shape(kind, x, y) {
  if (kind === "base") return h("rect", { class: "frontier-mark", x: x - 6, y: y - 6, width: 12, height: 12 });
  if (kind === "trained") return h("path", { class: "frontier-mark", d: `M${x} ${y - 8}l8 14h-16z` });
  return h("circle", { class: "frontier-mark", cx: x, cy: y, r: 5.5 });
}

/** @param {string} name */
const short = (name) => (name.length > 30 ? `${name.slice(0, 28)}…` : name);

/**
 * @param {any} point of a report
 * @param {number} index
 * @param {boolean} wayBack whether the points lie between base and trained
 */
export function spotKind(point, index, wayBack) {
  if (!wayBack) return { kind: /** @type {Spot["kind"]} */ ("between"),
    short: point.share === null ? `model ${index + 1}` : number(point.share) };
  if (point.share === 0) return { kind: /** @type {Spot["kind"]} */ ("base"), short: "0 (base)" };
  if (point.share === 1) return { kind: /** @type {Spot["kind"]} */ ("trained"), short: "1 (trained)" };
  return { kind: /** @type {Spot["kind"]} */ ("between"), short: number(point.share) };
}

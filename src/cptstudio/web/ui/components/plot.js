/** The canvas of a chart: uPlot, drawn in the colours of the current scheme. */
import { saveBlob } from "../lib/download.js";
import { aligned, colour, yRange } from "../lib/plotting.js";
import { colourScheme } from "../lib/preferences.js";
import { h, useEffect, useRef, useState } from "../lib/preact.js";
import uPlot from "../vendor/uplot.js";

/** @typedef {import("../lib/plotting.js").Line} Line */
/** @typedef {{cursor: (x: number | null) => void, save: (title: string, name: string) => void}} PlotHandle */
/**
 * @typedef {import("../lib/plotting.js").ChartProps & {onCursor: (x: number | null) => void,
 *   handle: {current: PlotHandle | null}}} PlotProps
 */

const SMALL_HEIGHT = 170;
const LARGE_HEIGHT = 300;
const AXIS_FONT = "12px system-ui, sans-serif";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Changes when the page's colours do. */
function useScheme() {
  const [system, setSystem] = useState(dark.matches);
  useEffect(() => {
    const changed = () => setSystem(dark.matches);
    dark.addEventListener("change", changed);
    return () => dark.removeEventListener("change", changed);
  }, []);
  return `${colourScheme.value} ${system}`;
}

/** @param {Line[]} lines the same text for charts that differ only in their values */
const shapeOf = (lines) =>
  lines.map((line) => [line.label, line.colour, line.width, line.dash, line.points, line.hidden, !!line.min].join())
    .join(";");

/** @param {Line} line @returns {uPlot.Series[]} a line's own series and those of its band */
function seriesOf(line) {
  const stroke = colour(line.colour);
  const own = {
    label: line.label,
    stroke,
    width: line.width ?? 1.75,
    dash: line.dash,
    spanGaps: false,
    show: !line.hidden,
    points: { show: line.points ?? false, size: 6, fill: stroke },
  };
  // The edges are drawn as lines: a spike of one row is narrower than a pixel of a filled band.
  const edge = { stroke, width: 0.75, points: { show: false }, show: !line.hidden };
  return line.min && line.max ? [own, edge, edge] : [own];
}

/** @param {Line[]} lines @returns {uPlot.Band[]} */
function bandsOf(lines) {
  const fill = colour("chart-band");
  const bands = [];
  let at = 1;
  for (const line of lines) {
    if (line.min && line.max) {
      bands.push({ series: /** @type {[number, number]} */ ([at + 2, at + 1]), fill });
      at += 3;
    } else {
      at += 1;
    }
  }
  return bands;
}

/** Lines and words over the curves: the limit and the marks. @param {uPlot} u @param {PlotProps} props */
function drawMarks(u, props) {
  const context = u.ctx;
  const ratio = devicePixelRatio;
  const { left, top, width, height } = u.bbox;
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.lineWidth = ratio;
  context.textBaseline = "top";
  if (props.limit) {
    const y = u.valToPos(props.limit.value, "y", true);
    context.strokeStyle = context.fillStyle = colour("bad");
    context.setLineDash([6 * ratio, 4 * ratio]);
    line(context, left, y, left + width, y);
    context.textAlign = "right";
    context.fillText(props.limit.label, left + width - 4 * ratio, y + 3 * ratio);
  }
  for (const mark of props.marks || []) {
    const x = u.valToPos(mark.x, "x", true);
    if (x < left - 1 || x > left + width + 1) continue;
    context.strokeStyle = context.fillStyle = colour(mark.kind === "best"
      ? "good"
      : mark.kind === "bad" ? "bad" : "line-strong");
    context.setLineDash([2 * ratio, 3 * ratio]);
    line(context, x, top, x, top + height);
    const right = x > left + width - 120 * ratio;
    context.textAlign = right ? "right" : "left";
    context.fillText(mark.label, x + (right ? -4 : 4) * ratio, top + 3 * ratio);
  }
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1
 */
function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

/** The x range that is shown. @param {PlotProps} props @returns {[number, number]} */
function xRange(props) {
  const given = props.range ?? props.extent;
  if (given && given[0] < given[1]) return given;
  let low = Infinity;
  let high = -Infinity;
  for (const { x } of props.lines) {
    if (x.length) {
      low = Math.min(low, x[0]);
      high = Math.max(high, x[x.length - 1]);
    }
  }
  return low < high ? [low, high] : low === high ? [low - 0.5, high + 0.5] : [0, 1];
}

/**
 * @param {() => PlotProps} current always the newest properties
 * @param {number} width @param {number} height @returns {uPlot.Options}
 */
function options(current, width, height) {
  const props = current();
  const axis = { stroke: colour("chart-axis"), font: AXIS_FONT, grid: { stroke: colour("chart-grid"), width: 1 },
    ticks: { show: false } };
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: {
      y: false,
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false },
      sync: props.sync ? { key: props.sync, setSeries: false, scales: ["x", null] } : undefined,
      bind: { dblclick: () => () => { current().onZoom(null, null); return null; } },
    },
    scales: {
      x: { time: false, range: () => xRange(current()) },
      y: {
        distr: props.log ? 3 : 1,
        range: () => {
          const now = current();
          const [from, to] = xRange(now);
          return yRange(now.lines, from, to,
            { log: !!now.log, clip: !!now.clip, zero: now.zero, limit: now.limit?.value });
        },
      },
    },
    series: [{}, ...props.lines.flatMap(seriesOf)],
    bands: bandsOf(props.lines),
    axes: [
      { ...axis, size: 28, gap: 4,
        values: (_, splits) =>
          splits.map((value) => (value == null ? "" : (current().x.tick ?? current().x.format)(value))) },
      { ...axis, size: 64, gap: 6,
        values: (_, splits) =>
          splits.map((value) => (value == null ? "" : (current().y.tick ?? current().y.format)(value))) },
    ],
    hooks: {
      draw: [(u) => drawMarks(u, current())],
      setCursor: [(u) => {
        const index = u.cursor.idx;
        current().onCursor(index == null || (u.cursor.left ?? -1) < 0 ? null : u.data[0][index]);
      }],
      setSelect: [(u) => {
        if (u.select.width > 3) {
          current().onZoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        }
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

/** A picture of the chart with its title. @param {uPlot} u @param {string} title @param {string} name */
function savePicture(u, title, name) {
  const ratio = devicePixelRatio;
  const source = u.ctx.canvas;
  const canvas = document.createElement("canvas");
  canvas.width = source.width + 16 * ratio;
  canvas.height = source.height + 36 * ratio;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.fillStyle = colour("surface");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = colour("text");
  context.font = `600 ${14 * ratio}px system-ui, sans-serif`;
  context.textBaseline = "top";
  context.fillText(title, 10 * ratio, 8 * ratio);
  context.drawImage(source, 8 * ratio, 32 * ratio);
  canvas.toBlob((content) => content && saveBlob(content, name), "image/png");
}

/** @param {PlotProps} props */
export function Plot(props) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const newest = useRef(props);
  newest.current = props;
  const scheme = useScheme();
  const height = props.height ?? (props.large ? LARGE_HEIGHT : SMALL_HEIGHT);
  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const made = new uPlot(options(() => newest.current, place.clientWidth || 600, height),
      aligned(newest.current.lines), place);
    plot.current = made;
    const sized = new ResizeObserver(() => {
      if (place.clientWidth && place.clientWidth !== made.width) {
        made.setSize({ width: place.clientWidth, height });
      }
    });
    sized.observe(place);
    newest.current.handle.current = {
      cursor: (x) => /** @type {any} */ (made).setCursor(x == null
        ? { left: -10, top: -10 }
        : { left: made.valToPos(x, "x"), top: 10 }, true, true),
      save: (title, name) => savePicture(made, title, name),
    };
    return () => {
      sized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [scheme, shapeOf(props.lines), props.log, props.large, props.sync]);
  const drawn = useRef(/** @type {uPlot | null} */ (null));
  useEffect(() => {
    if (drawn.current !== plot.current) {
      drawn.current = plot.current; // It was just made with these values.
      return;
    }
    plot.current?.setData(aligned(props.lines), true);
  }, [props.version, props.clip, props.range?.[0], props.range?.[1], props.limit?.value, props.marks]);
  return h("div", { ref: box, class: "plot" });
}

/** The charts of a run, the loss first; their view is the URL's. */
import { Chart } from "../../components/chart.js";
import { XAxisChoice } from "../../components/x_axis_choice.js";
import { bytes, integer, number, rate } from "../../lib/format.js";
import { chartsOf, FORMATS, keyOf } from "../../lib/metrics.js";
import { h, useEffect, useMemo, useRef, useState } from "../../lib/preact.js";
import { queryNumber, route, setQuery } from "../../lib/router.js";
import { X_AXES, xAxis } from "../../lib/x_axes.js";

/** @typedef {import("../../lib/run_series.js").RunSeries} RunSeries */
/** @typedef {import("../../lib/plotting.js").Line} Line */
/** @typedef {import("../../lib/metrics.js").Metric} Metric */
/** @typedef {import("../../lib/metrics.js").ChartOf} ChartOf */

const DEFAULT_SMOOTHING = 0.9;
const SETTLED_MS = 250;
const COLOURS = ["chart-1", "chart-3", "chart-6", "chart-8"];
const EVALUATION_COLOURS = ["chart-2", "chart-4", "chart-5", "chart-7"];

/** What the URL says about the charts. */
export function chartQuery() {
  const { query } = route.value;
  const smoothing = queryNumber(query.smooth) ?? DEFAULT_SMOOTHING;
  return {
    x: xAxis(query.x), from: queryNumber(query.from), to: queryNumber(query.to),
    log: query.log === "1", clip: query.clip === "1",
    smoothing: Math.min(0.999, Math.max(0, smoothing)),
    buckets: 0,
  };
}

/** @param {number | null} value @param {import("../../lib/x_axes.js").XAxis} x */
const rounded = (value, x) => (value == null ? null : x === "time" ? Number(value.toFixed(2)) : Math.round(value));

/** @param {number | null} from @param {number | null} to */
function zoom(from, to) {
  const { x } = chartQuery();
  setQuery({ from: rounded(from, x), to: rounded(to, x) }, { push: true });
}

/**
 * A number of the training rows: each step with its extremes as a band and the moving average, or one line.
 * @param {RunSeries} series @param {Metric} metric @param {number} at among those of its chart
 * @param {boolean} alone in its chart @returns {Line[]}
 */
function trained(series, metric, at, alone) {
  const colour = COLOURS[at % COLOURS.length];
  const curve = series.keys[metric.name];
  if (!curve?.x.length) return [];
  if (metric.drawn !== "smoothed") {
    return [{ label: metric.title, x: curve.x, y: curve[metric.drawn], colour }];
  }
  const named = (/** @type {string} */ what) =>
    (alone ? `${what[0].toUpperCase()}${what.slice(1)}` : `${metric.legend || metric.title}, ${what}`);
  const raw = {
    label: named("each step"), x: curve.x, y: curve.mean, min: curve.min, max: curve.max, colour: "chart-raw", width: 1,
    quiet: true,
  };
  return series.shown.smoothing > 0
    ? [raw, { label: named("smoothed"), x: curve.x, y: curve.ema, colour, width: 2 }]
    : [raw];
}

/**
 * A number of the evaluations, as points.
 * @param {RunSeries} series @param {(evaluation: any) => number | null | undefined} value
 * @param {{label: string, at: number, dashed: boolean}} look @returns {Line[]}
 */
function measured(series, value, { label, at, dashed }) {
  const field = X_AXES[series.shown.x].field;
  const points = series.evaluations.filter((one) => one[field] != null && value(one) != null);
  return points.length
    ? [{
      label, x: points.map((one) => one[field]), y: points.map(value), points: true, width: 1.75,
      colour: EVALUATION_COLOURS[at % EVALUATION_COLOURS.length], dash: dashed ? [6, 4] : undefined,
    }]
    : [];
}

/** All that is drawn in a chart. @param {RunSeries} series @param {ChartOf} chart @returns {Line[]} */
function linesOf(series, { training, evaluation, measures }) {
  const roles = new Map(series.evaluations.flatMap((one) =>
    Object.entries(one.corpora).map(([name, corpus]) => [name, corpus.role])));
  const alone = training.length + evaluation.length + measures.length === 1;
  return [
    ...training.flatMap((metric, at) => trained(series, metric, at, alone)),
    ...evaluation.flatMap((metric, at) =>
      measured(series, (one) => one[keyOf(metric)], { label: metric.title, at, dashed: at > 0 })),
    ...measures.flatMap((metric) => [...roles].flatMap(([name, role], at) => {
      const label = `${measures.length > 1 ? metric.title : "Validation"}: ${name} (${role})`;
      const dashed = role !== "domain";
      return measured(series, (one) => one.corpora[name]?.[metric.name], { label, at, dashed });
    })),
  ];
}

/** @param {RunSeries} series */
function marksOf(series) {
  const field = X_AXES[series.shown.x].field;
  const best = series.evaluations.filter((one) => one.best).pop();
  const at = best?.[field];
  return at == null ? [] : [{ x: at, label: `best, step ${integer(best?.step)}`, kind: /** @type {const} */ ("best") }];
}

/** Smoothing as it is dragged, sent to the URL when it rests. */
function Smoothing() {
  const { smoothing } = chartQuery();
  const [value, setValue] = useState(smoothing);
  const timer = useRef(0);
  useEffect(() => setValue(smoothing), [smoothing]);
  const changed = (/** @type {any} */ event) => {
    const next = Number(event.target.value);
    setValue(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ smooth: next === DEFAULT_SMOOTHING ? null : next }), SETTLED_MS);
  };
  return h("label", {}, "Smoothing",
    h("input", { type: "range", min: 0, max: 0.99, step: 0.01, value, onInput: changed }),
    h("output", { class: "figures" }, value.toFixed(2)));
}

function Controls() {
  const { x, log, clip, from, to } = chartQuery();
  return h("div", { class: "chart-controls", role: "group", "aria-label": "Charts" },
    h(XAxisChoice, { x }),
    h(Smoothing, {}),
    h("label", {},
      h("input", { type: "checkbox", checked: log, onChange: () => setQuery({ log: log ? null : 1 }) }),
      "Log-scale loss"),
    h("label", {},
      h("input", { type: "checkbox", checked: clip, onChange: () => setQuery({ clip: clip ? null : 1 }) }),
      "Clip outliers"),
    (from != null || to != null)
      && h("button", { type: "button", class: "button button-small", onClick: () => zoom(null, null) },
        "Reset zoom"));
}

/** Values that are no numbers, as an alarm. @param {{series: RunSeries}} props */
function Alarm({ series }) {
  if (!series.nonfiniteTotal) return null;
  const first = series.nonfinite.slice(0, 5).map((one) =>
    `${one.key.replaceAll("_", " ")} was ${one.value} at step ${integer(one.step)}`);
  const more = series.nonfiniteTotal > first.length ? "; and more" : "";
  return h("div", { class: "notice notice-bad alarm", role: "alert" },
    h("div", {},
      h("strong", {}, series.nonfiniteTotal === 1
        ? "1 value was not finite"
        : `${integer(series.nonfiniteTotal)} values were not finite`),
      h("p", {}, `${first.join("; ")}${more}. `
        + "Training became unstable. Try a lower learning rate or a longer warmup.")));
}

/** Why a chart of evaluations is empty. @param {RunSeries} series @param {any} run @param {Metric} metric */
function unmeasured(series, run, metric) {
  const { from, to } = series.shown;
  if ((from != null || to != null) && (run.domain?.last != null || run.general?.last != null)) {
    return "No evaluation in this range.";
  }
  const what = metric.unit || metric.title.toLowerCase();
  return run.state.alive ? "No evaluations yet." : `No evaluation measured ${what}.`;
}

/** @param {{series: RunSeries, run: any}} props */
export function RunCharts({ series, run }) {
  const version = series.version.value;
  const view = chartQuery();
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const shown = `${view.x} ${view.from} ${view.to} ${view.smoothing}`;
  useEffect(() => {
    const { x, from, to, smoothing } = view;
    const known = series.view;
    if (series.loaded && (known.x !== x || known.from !== from || known.to !== to || known.smoothing !== smoothing)) {
      void series.load({ x, from, to, smoothing }).catch(() => undefined);
    }
  }, [shown]);
  // While the next view is fetched, the last one is drawn with its own axis.
  const x = X_AXES[series.shown.x];
  const charts = useMemo(
    () => chartsOf(series.metrics).map((chart) => ({ ...chart, lines: linesOf(series, chart) }))
      .filter(({ chart, lines }) => lines.length > 0 || !chart.optional), [version]);
  const marks = useMemo(() => marksOf(series), [version]);
  const { from, to } = series.shown;
  const { xMin, xMax } = series;
  const zoomed = from != null || to != null;
  const range = /** @type {[number, number] | null} */ (zoomed ? [from ?? xMin ?? 0, to ?? xMax ?? 1] : null);
  const extent = /** @type {[number, number] | null} */ (xMin == null || xMax == null ? null : [xMin, xMax]);
  const common = { version, x, range, extent, onZoom: zoom, sync: run.id };
  const absent = run.state.alive || !series.points() ? null : "Not recorded for this run.";
  const waiting = series.loading
    ? "Loading…"
    : run.state.alive ? "Waiting for the first step…" : "No steps were recorded.";
  const unrecorded = series.loading ? waiting : absent ?? waiting;
  return h("section", { class: "stack", "aria-label": "Curves", ref: place, "data-last-seq": series.position?.after },
    h("h2", { class: "visually-hidden" }, "Curves"),
    h(Controls, {}),
    h(Alarm, { series }),
    !series.complete
      && h("p", { class: "hint", "aria-busy": "true" }, "Preview – still reading the full file…"),
    h("div", { class: "charts" },
      charts.map(({ chart, lines, training, evaluation, measures }) => {
        const [first] = [...training, ...evaluation, ...measures];
        const format = FORMATS[first.format];
        const ofSteps = training.length > 0;
        return h(Chart, {
          ...common, key: chart.id, lines, title: chart.title, file: `${run.id}.${chart.id}`, zero: chart.zero,
          note: first.unit !== "" && first.format !== "bytes" && h("span", { class: "hint" }, first.unit),
          y: { title: first.title, format, tick: first.format === "decimals" ? number : undefined },
          large: chart.size === "large", wide: chart.size === "wide",
          log: chart.size === "large" && view.log,
          clip: view.clip && training.some((metric) => metric.drawn === "smoothed"),
          marks: evaluation.length + measures.length > 0 ? marks : undefined,
          limit: chart.id === "memory" && run.memory_limit
            ? { value: run.memory_limit, label: `machine memory, ${bytes(run.memory_limit)}` }
            : null,
          empty: chart.size === "large" ? waiting : ofSteps ? unrecorded : unmeasured(series, run, first),
        });
      })),
    h("p", { class: "hint" }, "Drag across a chart to zoom in; double-click to reset. Keyboard: focus a chart with "
      + "Tab, then use the arrow keys, + and −, or 0."),
    run.tokens_per_second != null
      && h("p", { class: "visually-hidden" }, `Current throughput: ${rate(run.tokens_per_second, "tokens")}.`));
}

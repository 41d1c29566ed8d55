import { Chart } from "../../components/chart.js";
import { XAxisChoice } from "../../components/x_axis_choice.js";
import { Problem } from "../../components/elements.js";
import { get } from "../../lib/api.js";
import { number } from "../../lib/format.js";
import { runsChanged } from "../../lib/live.js";
import { FORMATS, keyOf, loadMetrics } from "../../lib/metrics.js";
import { h, useEffect, useMemo, useState } from "../../lib/preact.js";
import { nameOf } from "../../lib/run_words.js";
import { queryNumber, route, setQuery } from "../../lib/router.js";
import { X_AXES, xAxis } from "../../lib/x_axes.js";

/** @typedef {import("../../lib/plotting.js").Line} Line */

const COLOURS = 8;
const BUCKETS = 800;
const BASELINE_DASH = [7, 5];

/** What the URL says. */
export function compareQuery() {
  const { runs = "", x, from, to, log } = route.value.query;
  return {
    runs: runs ? runs.split(",").filter(Boolean) : [],
    x: xAxis(x), from: queryNumber(from), to: queryNumber(to), log: log === "1",
  };
}

/** @param {number | null} from @param {number | null} to */
const zoom = (from, to) =>
  setQuery({ from: from && Math.round(from), to: to && Math.round(to) }, { push: true });

/** The colour of the run at a place of the list. @param {number} at */
export const colourAt = (at) => `chart-${(at % COLOURS) + 1}`;

/**
 * @param {any[]} runs @param {Record<string, any>} series @param {string | null} baseline
 * @param {(one: any) => {x: number[], y: any[], points?: boolean}} pick @returns {Line[]}
 */
function linesOf(runs, series, baseline, pick) {
  return runs.flatMap((run, at) => {
    const found = series[run.id] && pick(series[run.id]);
    if (!found?.x.length) return [];
    const base = run.id === baseline;
    const look = base ? { width: 2.25, dash: BASELINE_DASH } : { width: 1.75 };
    return [{ label: base ? `${nameOf(run)} (baseline)` : nameOf(run), colour: colourAt(at), ...look, ...found }];
  });
}

/** What is drawn of several runs. @param {import("../../lib/metrics.js").MetricTable} metrics */
const curvesOf = (metrics) =>
  /** @type {const} */ (["training", "evaluation"]).flatMap((kind) => metrics[kind]
    .filter((metric) => metric.compared.includes("curve"))
    .map((metric) => ({ metric, trained: kind === "training" })));

/** Curves of several runs over one another. @param {{runs: any[], baseline: string | null}} props */
export function CompareCurves({ runs, baseline }) {
  const { x, from, to, log } = compareQuery();
  const [series, setSeries] = useState(/** @type {Record<string, any>} */ ({}));
  const [curves, setCurves] = useState(/** @type {ReturnType<typeof curvesOf>} */ ([]));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [version, setVersion] = useState(0);
  const ids = runs.map((run) => run.id).join(",");
  useEffect(() => {
    const abort = new AbortController();
    const fetched = async () => {
      const curves = curvesOf(await loadMetrics());
      const keys = curves.filter((one) => one.trained).map((one) => one.metric.name).join(",");
      const wanted = { x, from, to, keys, buckets: BUCKETS };
      const asked = ids.split(",").map(async (id) => [id, await get(`/api/runs/${id}/series`, wanted, abort.signal)]);
      setSeries(Object.fromEntries(await Promise.all(asked)));
      setCurves(curves);
      setVersion((value) => value + 1);
      setError(null);
    };
    fetched().catch((failure) => !abort.signal.aborted && setError(failure));
    return () => abort.abort();
  }, [ids, x, from, to, runsChanged.value.count]);
  const field = X_AXES[x].field;
  const drawn = useMemo(() => curves.map(({ metric, trained }) => {
    const pick = (/** @type {any} */ one) => {
      if (trained) return { x: one.keys[metric.name].x, y: one.keys[metric.name].ema };
      /** @type {any[][]} */
      const all = one.evaluations.map((/** @type {any} */ point) => [point[field], point[keyOf(metric)]]);
      const points = all.filter(([at, value]) => at != null && value != null);
      return { x: points.map(([at]) => at), y: points.map(([, value]) => value), points: true };
    };
    return { metric, trained, lines: linesOf(runs, series, baseline, pick) };
  }), [version, baseline, ids]);
  const edges = Object.values(series).map((one) => [one.x_min, one.x_max]).filter(([low]) => low != null);
  const [low, high] = [Math.min(...edges.map((edge) => edge[0])), Math.max(...edges.map((edge) => edge[1]))];
  const range = /** @type {[number, number] | null} */ (from == null && to == null ? null : [from ?? low, to ?? high]);
  const extent = /** @type {[number, number] | null} */ (edges.length ? [low, high] : null);
  const common = {
    version: version + (baseline ? baseline.length : 0), x: X_AXES[x], range, extent, onZoom: zoom, sync: "compare",
  };
  return h("section", { class: "stack", "aria-label": "Curves" },
    h("h2", { class: "visually-hidden" }, "Curves"),
    h("div", { class: "chart-controls", role: "group", "aria-label": "Charts" },
      h(XAxisChoice, { x }),
      h("label", {},
        h("input", { type: "checkbox", checked: log, onChange: () => setQuery({ log: log ? null : 1 }) }),
        "Log-scale loss")),
    error && h(Problem, { error }),
    !drawn.length && !error && h("div", { class: "charts charts-few" },
      ["chart-large", "", ""].map((size, at) => h("div", { key: at, class: `chart ${size}` },
        h("p", { class: "chart-empty", "aria-busy": "true" }, at ? "" : "Loading…")))),
    h("div", { class: "charts charts-few" }, drawn.map(({ metric, trained, lines }) => h(Chart, {
      ...common, key: metric.name, title: metric.title, lines, large: metric.chart?.size === "large",
      log: metric.chart?.size === "large" && log, file: `compare.${keyOf(metric)}`,
      note: h("span", { class: "hint" }, `${trained ? "smoothed" : "validation"}, ${metric.unit}`),
      y: { title: metric.title, format: FORMATS[metric.format], tick: number },
      empty: trained ? "No steps recorded." : "No evaluations.",
    }))));
}

import { Chart } from "../../components/chart.js";
import { XAxisChoice } from "../../components/x_axis_choice.js";
import { Problem } from "../../components/problem.js";
import { get } from "../../lib/api.js";
import { bits, number } from "../../lib/format.js";
import { runsChanged } from "../../lib/live.js";
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
const zoom = (from, to) => setQuery({ from: from == null ? null : Math.round(from), to: to == null ? null : Math.round(to) }, { push: true });

/** The colour of the run at a place of the list. @param {number} at */
export const colourAt = (at) => `chart-${(at % COLOURS) + 1}`;

/** @param {any[]} runs @param {Record<string, any>} series @param {string | null} baseline @param {(one: any) => {x: number[], y: any[], points?: boolean}} pick @returns {Line[]} */
function linesOf(runs, series, baseline, pick) {
  return runs.flatMap((run, at) => {
    const found = series[run.id] && pick(series[run.id]);
    if (!found?.x.length) {
      return [];
    }
    const base = run.id === baseline;
    return [{ label: base ? `${nameOf(run)} (baseline)` : nameOf(run), colour: colourAt(at), width: base ? 2.25 : 1.75, dash: base ? BASELINE_DASH : undefined, ...found }];
  });
}

/** Curves of several runs over one another. @param {{runs: any[], baseline: string | null}} props */
export function CompareCurves({ runs, baseline }) {
  const { x, from, to, log } = compareQuery();
  const [series, setSeries] = useState(/** @type {Record<string, any>} */ ({}));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [version, setVersion] = useState(0);
  const ids = runs.map((run) => run.id).join(",");
  useEffect(() => {
    const abort = new AbortController();
    const wanted = { x, from, to, keys: "loss", buckets: BUCKETS };
    Promise.all(ids.split(",").map(async (id) => [id, await get(`/api/runs/${id}/series`, wanted, abort.signal)]))
      .then((found) => {
        setSeries(Object.fromEntries(found));
        setVersion((value) => value + 1);
        setError(null);
      })
      .catch((failure) => !abort.signal.aborted && setError(failure));
    return () => abort.abort();
  }, [ids, x, from, to, runsChanged.value.count]);
  const field = X_AXES[x].field;
  const measured = (/** @type {any} */ one, /** @type {(evaluation: any) => any} */ value) => {
    const points = one.evaluations.filter((/** @type {any} */ point) => point[field] != null && value(point) != null);
    return { x: points.map((/** @type {any} */ point) => point[field]), y: points.map(value), points: true };
  };
  const lines = useMemo(() => ({
    loss: linesOf(runs, series, baseline, (one) => ({ x: one.keys.loss.x, y: one.keys.loss.ema })),
    domain: linesOf(runs, series, baseline, (one) => measured(one, (point) => point.domain)),
    general: linesOf(runs, series, baseline, (one) => measured(one, (point) => point.general)),
  }), [version, baseline, ids]);
  const edges = Object.values(series).map((one) => [one.x_min, one.x_max]).filter(([low]) => low != null);
  const range = /** @type {[number, number] | null} */ (from == null && to == null ? null : [from ?? Math.min(...edges.map(([low]) => low)), to ?? Math.max(...edges.map(([, high]) => high))]);
  const extent = /** @type {[number, number] | null} */ (edges.length ? [Math.min(...edges.map(([low]) => low)), Math.max(...edges.map(([, high]) => high))] : null);
  const common = { version: version + (baseline ? baseline.length : 0), x: X_AXES[x], range, extent, onZoom: zoom, sync: "compare" };
  return h(
    "section",
    { class: "stack", "aria-label": "Curves" },
    h("h2", { class: "visually-hidden" }, "Curves"),
    h("div", { class: "chart-controls", role: "group", "aria-label": "Charts" },
      h(XAxisChoice, { x }),
      h("label", {}, h("input", { type: "checkbox", checked: log, onChange: () => setQuery({ log: log ? null : 1 }) }), "Logarithmic loss")),
    error && h(Problem, { error }),
    h("div", { class: "charts charts-few" },
      h(Chart, { ...common, title: "Training loss", note: h("span", { class: "hint" }, "smoothed, nats per token"), lines: lines.loss, y: { title: "Loss", format: number }, log, large: true, file: "compare.loss", empty: "No steps were recorded." }),
      h(Chart, { ...common, title: "Domain", note: h("span", { class: "hint" }, "held out, bits per byte"), lines: lines.domain, y: { title: "Bits per byte", format: bits, tick: number }, file: "compare.domain", empty: "No evaluations." }),
      h(Chart, { ...common, title: "General", note: h("span", { class: "hint" }, "held out, bits per byte"), lines: lines.general, y: { title: "Bits per byte", format: bits, tick: number }, file: "compare.general", empty: "No evaluations." })),
  );
}

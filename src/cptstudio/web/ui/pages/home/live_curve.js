/** The loss of a run that is training, as it goes on. */
import { Plot } from "../../components/plot.js";
import { integer, number } from "../../lib/format.js";
import { watchRun } from "../../lib/live.js";
import { lastOf } from "../../lib/plotting.js";
import { h, useEffect, useRef, useState } from "../../lib/preact.js";
import { nameOf } from "../../lib/run_words.js";
import { RunSeries } from "../../lib/run_series.js";
import { X_AXES } from "../../lib/x_axes.js";

const BUCKETS = 400;
const HEIGHT = 220;
const Y = { title: "Loss", format: number };

/** @param {RunSeries} series @returns {import("../../lib/plotting.js").Line[]} */
function linesOf(series) {
  const curve = series.keys.loss;
  if (!curve?.x.length) return [];
  return [
    { label: "Per step", x: curve.x, y: curve.mean, min: curve.min, max: curve.max, colour: "chart-raw", width: 1,
      quiet: true },
    { label: "Smoothed", x: curve.x, y: curve.ema, colour: "chart-1", width: 2 },
  ];
}

/** @param {{run: any}} props */
export function LiveCurve({ run }) {
  const [series] = useState(() => new RunSeries(run.id));
  const handle = useRef(null);
  useEffect(() => {
    series.view = { ...series.view, buckets: BUCKETS };
    const stop = watchRun(run.id, {
      position: () => series.position, reload: () => series.load(), rows: (rows) => series.add(rows),
    });
    return () => {
      stop();
      series.stop();
    };
  }, []);
  const version = series.version.value;
  const lines = linesOf(series);
  const last = lines.length ? lastOf(lines[1]) : null;
  const words = last ? `Loss ${number(last.y)} at step ${integer(last.x)}, smoothed.` : "Waiting for the first step…";
  return h("figure", { class: "live-curve", "aria-label": `Loss of ${nameOf(run)}` },
    h("figcaption", { class: "spread hint" }, h("span", {}, "Training loss, smoothed"),
      h("span", { class: "visually-hidden" }, words)),
    last
      ? h(Plot, { title: "Loss", lines, version, x: X_AXES.step, y: Y, range: null, onZoom: () => undefined,
        onCursor: () => undefined, handle, file: run.id, height: HEIGHT })
      : h("p", { class: "live-curve-empty" }, "The curve starts with the first step."));
}

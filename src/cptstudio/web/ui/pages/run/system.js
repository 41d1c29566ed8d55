/** What the machine did over the run's time: CPU or GPU, memory, disk. */
import { Chart } from "../../components/chart.js";
import { get } from "../../lib/api.js";
import { bytes, duration, rate } from "../../lib/format.js";
import { h, useEffect, useMemo, useRef, useState } from "../../lib/preact.js";

const LEAST_MS = 2000;
const X = { title: "Training time", format: duration };
const PERCENT = { title: "Percent", format: (/** @type {number} */ value) => `${Math.round(value)}%` };
const BYTES = { title: "Bytes", format: bytes };
const PER_SECOND = { title: "Bytes per second", format: (/** @type {number} */ value) => rate(value, "bytes") };

/** What of the answer is drawn in which chart. */
const CHARTS = [
  { id: "processor", title: "CPU and GPU", wide: true, y: PERCENT, lines: [
    ["gpu", "GPU", "chart-1"], ["cpu", "CPU (machine)", "chart-3"], ["cpu_process", "CPU (this run)", "chart-6"]] },
  { id: "machine-memory", title: "Memory", y: BYTES, lines: [
    ["memory_used", "Machine", "chart-3"], ["memory_process", "This run", "chart-6"],
    ["memory_gpu", "GPU", "chart-1"]] },
  { id: "disk-free", title: "Free disk space", y: BYTES, lines: [["disk_free", "Free", "chart-1"]] },
  { id: "disk-written", title: "Disk writes", wide: true, y: PER_SECOND, lines: [
    ["disk_written", "All programs", "chart-3"]] },
];

/** A gap where one session ended and the next began. @param {any} data @param {string} name */
function curve(data, name) {
  /** @type {{x: number[], y: (number | null)[]}} */
  const found = { x: [], y: [] };
  data.run_seconds.forEach((/** @type {number} */ x, /** @type {number} */ at) => {
    if (at > 0 && data.session[at] !== data.session[at - 1]) {
      found.x.push((x + data.run_seconds[at - 1]) / 2);
      found.y.push(null);
    }
    found.x.push(x);
    found.y.push(data.numbers[name]?.[at] ?? null);
  });
  return found.y.some((value) => value != null) ? found : null;
}

/** Samples of before with those that came since. @param {any} before @param {any} answer */
function continued(before, answer) {
  if (!before) return answer;
  const numbers = Object.fromEntries(Object.entries(answer.numbers).map(([name, values]) =>
    [name, [...(before.numbers[name] || []), .../** @type {any[]} */ (values)]]));
  return { ...answer, numbers, run_seconds: [...before.run_seconds, ...answer.run_seconds],
    session: [...before.session, ...answer.session], reason: before.run_seconds.length ? null : answer.reason };
}

/** Why a number is not there, each reason once. @param {any} data */
function missing(data) {
  const reason = data.missing?.gpu;
  return reason ? `No GPU data: ${reason}.` : null;
}

/** @param {{run: any}} props */
export function System({ run }) {
  const [data, setData] = useState(/** @type {any} */ (null));
  const newest = useRef(data);
  newest.current = data;
  const alive = run.state.alive;
  useEffect(() => {
    let timer = 0;
    let ended = false;
    const look = async () => {
      const before = newest.current;
      const seconds = before?.run_seconds ?? [];
      if (!document.hidden) {
        try {
          const after = seconds.length ? seconds[seconds.length - 1] : -1;
          const answer = await get(`/api/runs/${run.id}/system`, { after });
          if (ended) return;
          if (!before || answer.run_seconds.length) setData(continued(seconds.length ? before : null, answer));
        } catch {
          // The page says elsewhere that the server is away.
        }
      }
      if (alive && !ended) {
        timer = window.setTimeout(look, Math.max(LEAST_MS, 1000 * (newest.current?.interval ?? 0)));
      }
    };
    void look();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [run.id, alive]);
  const [range, setRange] = useState(/** @type {[number, number] | null} */ (null));
  const version = data?.run_seconds.length ?? 0;
  const charts = useMemo(() => CHARTS.map((chart) => ({ ...chart, drawn: !data ? [] : chart.lines.flatMap(
    ([name, label, colour]) => {
      const found = curve(data, name);
      return found ? [{ label, colour, width: 1.75, ...found }] : [];
    }) })), [version]);
  if (!data) return null;
  if (data.reason) {
    return h("section", { class: "stack", "aria-label": "System" },
      h("h2", {}, "System"), h("p", { class: "muted" }, data.reason));
  }
  const absent = missing(data);
  return h("section", { class: "stack", "aria-label": "System" },
    h("div", { class: "spread" }, h("h2", {}, "System"), absent && h("p", { class: "hint" }, absent)),
    h("div", { class: "charts" },
      charts.filter((chart) => chart.drawn.length > 0).map((chart) => h(Chart, {
        key: chart.id, title: chart.title, file: `${run.id}.${chart.id}`, lines: chart.drawn, version, x: X, y: chart.y,
        range, extent: null, zero: true, wide: chart.wide, sync: `${run.id} system`,
        onZoom: (from, to) => setRange(from == null || to == null ? null : [from, to]),
        limit: chart.id === "machine-memory" && data.memory
          ? { value: data.memory, label: `machine memory, ${bytes(data.memory)}` } : null,
      }))));
}

/**
 * A chart of one or more lines, as a labelled figure: crosshair shared with its neighbours, zoom
 * by dragging, cursor by arrow keys, a table of the same numbers, and export.
 */
import { number } from "../lib/format.js";
import { saveCsv, saveJson } from "../lib/download.js";
import { extent, lastOf, valueAt } from "../lib/plotting.js";
import { h, useEffect, useId, useMemo, useRef, useState } from "../lib/preact.js";
import { Menu } from "./menu.js";
import { Plot } from "./plot.js";

/** @typedef {import("../lib/plotting.js").Line} Line */
/** @typedef {import("../lib/plotting.js").Axis} Axis */
/** @typedef {import("../lib/plotting.js").ChartProps} ChartProps */

const MOST_TABLE_ROWS = 2000;

/** Every x of the lines, each once, in order. @param {Line[]} lines */
function allX(lines) {
  return [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
}

/** @param {Line[]} lines @param {Axis} x @returns {{header: string[], rows: any[][]}} */
function tableOf(lines, x) {
  const header = [x.title];
  /** @type {Map<number, any>[]} */
  const columns = [];
  for (const line of lines) {
    const banded = line.min && line.max && line.min.some((value, at) => value !== line.max?.[at]);
    /** @type {[string, import("../lib/plotting.js").Values | undefined][]} */
    const parts = banded ? [["", line.y], [" min", line.min], [" max", line.max]] : [["", line.y]];
    for (const [suffix, values] of parts) {
      header.push(line.label + suffix);
      columns.push(new Map(line.x.map((at, index) => [at, values?.[index] ?? null])));
    }
  }
  return { header, rows: allX(lines).map((at) => [at, ...columns.map((column) => column.get(at) ?? null)]) };
}

/** @param {ChartProps} props */
function summaryOf({ lines, x, y, limit }) {
  const parts = lines
    .filter((line) => !line.hidden)
    .map((line) => {
      const last = lastOf(line);
      const both = extent(line);
      return last && both
        ? `${line.label}: last ${y.format(last.y)} at ${x.title.toLowerCase()} ${x.format(last.x)}, between `
          + `${y.format(both.low)} and ${y.format(both.high)}.`
        : `${line.label}: no values.`;
    });
  return [...parts, limit ? `${limit.label}: ${y.format(limit.value)}.` : ""].join(" ").trim();
}

/**
 * @param {{lines: Line[], y: Axis, at: number | null, x: Axis,
 *   hidden: Set<string>, onToggle: (label: string) => void}} props
 */
function Legend({ lines, y, at, x, hidden, onToggle }) {
  return h("div", { class: "legend" },
    h("span", { class: "legend-x" }, at == null ? "last" : `${x.title.toLowerCase()} ${x.format(at)}`),
    lines.map((line) => {
      const found = at == null ? lastOf(line) : valueAt(line, at);
      return h("button", {
        key: line.label, type: "button", class: "legend-line",
        "aria-pressed": hidden.has(line.label) ? "false" : "true",
        title: hidden.has(line.label) ? `Show ${line.label}` : `Hide ${line.label}`,
        onClick: () => onToggle(line.label),
      },
        h("svg", { class: `swatch swatch-${line.colour}`, viewBox: "0 0 20 8", width: 20, height: 8,
          "aria-hidden": "true" },
          h("path", { d: "M0 4h20", "stroke-dasharray": line.dash?.join(" "), "stroke-width": line.quiet ? 2 : 3 }),
          line.points && h("circle", { cx: 10, cy: 4, r: 3.4 })),
        h("span", { class: "legend-label" }, line.label),
        h("span", { class: "legend-value" }, found ? y.format(found.y) : "–"));
    }));
}

/** @param {{table: {header: string[], rows: any[][]}, title: string}} props */
function DataTable({ table, title }) {
  const rows = table.rows.slice(-MOST_TABLE_ROWS);
  return h("div", { class: "chart-table", tabIndex: 0, role: "group", "aria-label": `${title} as a table` },
    table.rows.length > rows.length && h("p", { class: "hint" },
      `Last ${rows.length} of ${table.rows.length} points.`),
    h("table", { class: "table" },
      h("caption", { class: "visually-hidden" }, title),
      h("thead", {},
        h("tr", {}, table.header.map((name) => h("th", { key: name, scope: "col", class: "number" }, name)))),
      h("tbody", {},
        rows.map((row) => h("tr", { key: row[0] },
          row.map((value, at) => h("td", { key: at, class: "number" }, value == null ? "" : number(value, 7))))))));
}

/** @param {ChartProps} props */
export function Chart(props) {
  const { title, lines, x, y, file } = props;
  const id = useId();
  const plot = useRef(/** @type {import("./plot.js").PlotHandle | null} */ (null));
  const [cursor, setCursor] = useState(/** @type {number | null} */ (null));
  const [hidden, setHidden] = useState(() => new Set(/** @type {string[]} */ ([])));
  const [asTable, setAsTable] = useState(false);
  const shown = lines.map((line) => (hidden.has(line.label) ? { ...line, hidden: true } : line));
  const xs = useMemo(() => allX(lines), [props.version, lines.length]);
  const empty = xs.length === 0;
  const toggle = (/** @type {string} */ label) => {
    const next = new Set(hidden);
    if (!next.delete(label)) next.add(label);
    setHidden(next);
  };
  useEffect(() => {
    if (cursor != null && empty) setCursor(null);
  }, [empty]);

  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || empty) return;
    const now = cursor == null ? xs.length - 1 : nearest(xs, cursor);
    const jump = event.shiftKey ? 10 : 1;
    const from = props.range?.[0] ?? xs[0];
    const to = props.range?.[1] ?? xs[xs.length - 1];
    const middle = cursor ?? (from + to) / 2;
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => move(cursor == null ? now : now - jump),
      ArrowRight: () => move(cursor == null ? now : now + jump),
      Home: () => move(0),
      End: () => move(xs.length - 1),
      Escape: () => { setCursor(null); plot.current?.cursor(null); },
      "+": () => props.onZoom(middle - (middle - from) / 2, middle + (to - middle) / 2),
      "-": () => props.onZoom(middle - (middle - from) * 2, middle + (to - middle) * 2),
      0: () => props.onZoom(null, null),
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      event.stopPropagation();
      action();
    }
  };
  const move = (/** @type {number} */ index) => {
    const at = xs[Math.max(0, Math.min(xs.length - 1, index))];
    setCursor(at);
    plot.current?.cursor(at);
  };
  const spoken = cursor == null
    ? "No point selected"
    : `${x.title} ${x.format(cursor)}: ${shown.filter((line) => !line.hidden).map((line) => {
      const found = valueAt(line, cursor);
      return `${line.label} ${found ? y.format(found.y) : "no value"}`;
    }).join(", ")}`;
  const exports = () => tableOf(lines, x);
  return h("figure", {
    class: `chart${props.large ? " chart-large" : ""}${props.wide ? " chart-wide" : ""}`,
    "aria-labelledby": `${id}-title`, "aria-describedby": `${id}-summary`,
    "data-chart": file.split(".").pop(), "data-points": xs.length,
  },
    h("figcaption", { class: "chart-head" },
      h("h3", { id: `${id}-title` }, title),
      props.note,
      props.range && h("button", { type: "button", class: "button button-quiet button-small",
        onClick: () => props.onZoom(null, null) }, "Reset zoom"),
      h(Menu, {
        label: `${title}: table and export`, icon: "table", small: true, iconOnly: true,
        items: [
          { title: asTable ? "View as chart" : "View as table", onChoose: () => setAsTable(!asTable) },
          { title: "Save as PNG", onChoose: () => plot.current?.save(title, `${file}.png`) },
          { title: "Save as CSV", onChoose: () => {
            const table = exports();
            saveCsv(table.header, table.rows, `${file}.csv`);
          } },
          { title: "Save as JSON", onChoose: () => {
            const table = exports();
            saveJson({ title, columns: table.header, rows: table.rows }, `${file}.json`);
          } },
        ],
      })),
    h(Legend, { lines, y, at: cursor, x, hidden, onToggle: toggle }),
    h("p", { class: "visually-hidden", id: `${id}-summary` },
      empty ? props.empty || "No values yet." : summaryOf({ ...props, lines: shown })),
    empty
      ? h("p", { class: "chart-empty" }, props.empty || "No values yet.")
      : h("div", {
        class: asTable ? "chart-plot chart-plot-away" : "chart-plot", role: "slider", tabIndex: asTable ? -1 : 0,
        "aria-label": `${title}, cursor`,
        "aria-valuemin": 0, "aria-valuemax": xs.length - 1,
        "aria-valuenow": cursor == null ? xs.length - 1 : nearest(xs, cursor),
        "aria-valuetext": spoken, onKeyDown: keys,
      },
        h(Plot, { ...props, lines: shown, onCursor: setCursor, handle: plot })),
    asTable && !empty && h(DataTable, { table: exports(), title }));
}

/** @param {number[]} xs @param {number} x index of the last one that is not after x */
function nearest(xs, x) {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return Math.max(0, low - 1);
}

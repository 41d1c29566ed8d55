/** Several runs side by side: curves, what differs in their settings, and by how much they differ. */
import { Badge, Button, Empty, Problem, StateBadge } from "../components/elements.js";
import { PageHeader } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { downloadServed } from "../components/served_file.js";
import { Table } from "../components/table.js";
import { VerdictText } from "../components/verdict.js";
import { change, date, shownValue } from "../lib/format.js";
import { runsChanged } from "../lib/live.js";
import { differenceText, exact, useMetrics } from "../lib/metrics.js";
import { h, useState, withValue } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { setQuery } from "../lib/router.js";
import { nameOf } from "../lib/run_words.js";
import { colourAt, CompareCurves, compareQuery } from "./compare/curves.js";

/** @param {{label: string, at: number}} props a run's name with its colour */
function RunKey({ label, at }) {
  return h("span", { class: "run-name" },
    h("svg", { class: `swatch swatch-${colourAt(at)}`, viewBox: "0 0 12 12", width: 12, height: 12,
      "aria-hidden": "true" }, h("circle", { cx: 6, cy: 6, r: 5 })),
    label);
}

/** @param {{all: any[], chosen: string[]}} props */
function Picker({ all, chosen }) {
  const [filter, setFilter] = useState("");
  const toggle = (/** @type {string} */ id) =>
    setQuery({ runs: (chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]).join(",") });
  const shown = all.filter((run) => chosen.includes(run.id)
    || nameOf(run).toLowerCase().includes(filter.toLowerCase()));
  return h("details", { class: "card", open: chosen.length < 2 },
    h("summary", {}, h("strong", {}, `Runs: ${chosen.length} of ${all.length} selected`)),
    h("div", { class: "stack" },
      all.length > 8 && h("input", { type: "search", class: "filter", "aria-label": "Filter runs",
        placeholder: "Filter by name", value: filter,
        onInput: withValue(setFilter) }),
      h("fieldset", { class: "picker" }, h("legend", { class: "visually-hidden" }, "Runs to compare"),
        shown.map((run) => h("label", { key: run.id },
          h("input", { type: "checkbox", checked: chosen.includes(run.id), onChange: () => toggle(run.id) }),
          nameOf(run), run.kind === "run"
            ? h(StateBadge, { state: run.state })
            : h("span", { class: "tag" }, "imported"), h("span", { class: "hint" }, date(run.created)))))));
}

/**
 * What came of each run, and how it differs from the baseline.
 * @param {{answer: any, baseline: string | null}} props
 */
function Verdicts({ answer, baseline }) {
  const runs = /** @type {any[]} */ (answer.runs);
  return h("section", { class: "stack", key: "verdicts", "aria-labelledby": "verdicts-title" },
    h("h2", { id: "verdicts-title" }, "Verdicts"),
    h("ul", { class: "compared" }, runs.map((run, at) => {
      const against = answer.against[run.id];
      return h("li", { class: "card", key: run.id },
        h("div", { class: "spread" },
          h("h3", {}, h("a", { href: `/runs/${run.id}` }, h(RunKey, { label: nameOf(run), at }))),
          h("div", { class: "row" },
            run.id === baseline && h(Badge, { tone: "info", icon: "pin" }, "baseline"),
            run.kind === "run" && h(StateBadge, { state: run.state }))),
        run.verdict
          ? h(VerdictText, { verdict: run.verdict })
          : h("p", { class: "muted" }, "No verdict: at least two evaluations are needed."),
        against && h("p", { class: "compared-against" }, h("span", { class: "muted" }, "Against the baseline: "),
          h("span", { class: `verdict-${against.tone}` }, against.text)));
    })));
}

/** @param {{answer: any, baseline: string | null}} props */
function Tables({ answer, baseline }) {
  // "Tokens seen" needs no unit.
  const unitOf = (/** @type {any} */ row) =>
    (row.format === "bytes" || row.title.toLowerCase().includes(row.unit) ? "" : row.unit);
  const runs = /** @type {any[]} */ (answer.runs);
  const perRun = (/** @type {(row: any, run: any) => any} */ cell, /** @type {boolean} */ asNumber) =>
    runs.map((run, at) => ({ id: run.id, label: nameOf(run),
      title: h(RunKey, { label: run.id === baseline ? `${nameOf(run)} (baseline)` : nameOf(run), at }),
      number: asNumber, cell: (/** @type {any} */ row) => cell(row, run) }));
  const deltaCell = (/** @type {any} */ row, /** @type {any} */ run) => {
    const value = row.values[run.id];
    const difference = run.id !== baseline && typeof value === "number" && typeof row.baseline === "number"
      ? value - row.baseline
      : null;
    return h("span", {}, row.key.endsWith(".change") ? change(value) : exact(row.format, value),
      difference != null && h("span", { class: "fact-note" }, differenceText(row.format, difference)));
  };
  return [
    h("section", { class: "card", key: "numbers", "aria-labelledby": "numbers-title" },
      h("h2", { id: "numbers-title" }, "Metrics",
        baseline && h("span", { class: "hint" }, " with the difference from the baseline")),
      h(Table, {
        caption: "Metrics by run", stacks: true, rows: answer.deltas, rowKey: (row) => row.key,
        columns: [{ id: "key", title: "Metric", header: true,
          cell: (row) => h("span", {}, row.title, " ",
            h("span", { class: "hint" }, unitOf(row))) }, ...perRun(deltaCell, true)],
      })),
    h("section", { class: "card", key: "settings", "aria-labelledby": "settings-title" },
      h("h2", { id: "settings-title" }, "Different settings"),
      h(Table, {
        caption: "Different settings", stacks: true, rows: answer.differences, rowKey: (row) => row.setting,
        empty: runs.length < 2 ? "Select a second run to see what differs." : "All settings are the same.",
        columns: [{ id: "setting", title: "Setting", header: true,
          cell: (row) => h("span", { class: "changed" }, row.setting) },
          ...perRun((row, run) => h("span", { class: "changed" }, shownValue(row.values[run.id])), false)],
      })),
  ];
}

export default function Compare() {
  const { runs: chosen } = compareQuery();
  const list = useResource("/api/runs", undefined, runsChanged.value.count);
  const compared = useResource(chosen.length ? "/api/compare" : null, { runs: chosen.join(",") },
    runsChanged.value.count);
  useMetrics(); // For the curves, while the answer is on its way.
  const all = list.data ? [...list.data.runs, ...list.data.imported] : [];
  const answer = chosen.length ? compared.data : null;
  const baseline = answer?.baseline ?? null;
  return [
    h(PageHeader, { title: "Compare", key: "head" }, answer && h(Button, { icon: "download",
      onClick: () => downloadServed(`/api/compare/report?runs=${encodeURIComponent(chosen.join(","))}`) },
      "Save report")),
    list.error && h(Problem, { error: list.error, retry: list.reload, key: "list-error" }),
    !list.data && !list.error && h("div", { class: "card", key: "loading" }, h(Skeleton, { label: "Loading runs…",
      lines: 1 })),
    list.data && (all.length
      ? h(Picker, { all, chosen, key: "picker" })
      : h(Empty, { title: "Nothing to compare yet", icon: "compare", ghost: "chart", key: "none",
        actions: h(Button, { kind: "primary", icon: "plus", href: "/new" }, "New run") },
        h("p", {}, "Compare two or more runs here: overlaid curves, differing settings, and how far apart their "
          + "results "
          + "are."))),
    compared.error && h(Problem, { error: compared.error, retry: compared.reload, key: "error" }),
    all.length > 0 && !chosen.length && h("p", { class: "muted", key: "hint" },
      "Select runs above. The baseline is the run pinned on the Runs page, or the first one selected."),
    answer && h(Verdicts, { answer, baseline, key: "verdicts" }),
    answer && h(CompareCurves, { runs: answer.runs, baseline, key: "curves" }),
    answer && h(Tables, { answer, baseline, key: "tables" }),
  ];
}

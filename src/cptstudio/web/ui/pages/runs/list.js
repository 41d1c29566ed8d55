import { toast, toastError } from "../../components/announce.js";
import { Badge, Button, StateBadge } from "../../components/elements.js";
import { Sparkline } from "../../components/sparkline.js";
import { Table } from "../../components/table.js";
import { ShortVerdict } from "../../components/verdict.js";
import { put } from "../../lib/api.js";
import { ago, bits, change, count, date, number } from "../../lib/format.js";
import { runsChanged } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { generalChange, nameOf, stepOf } from "../../lib/run_words.js";

/** @type {Record<string, (run: any) => any>} */
const SORT_VALUES = {
  name: (run) => nameOf(run).toLowerCase(),
  state: (run) => run.state.text,
  updated: (run) => run.updated ?? run.ended ?? run.created ?? 0,
  step: (run) => run.step ?? -1,
  loss: (run) => run.loss,
  domain_last: (run) => run.domain?.last,
  domain_best: (run) => run.domain?.best,
  general: generalChange,
  tokens: (run) => run.tokens_seen,
  model: (run) => run.model?.name?.toLowerCase(),
};

/** What the URL says about the list. */
export function listQuery() {
  const { filter = "", sort = "updated", up, select = "", state = "" } = route.value.query;
  return { filter, sort: sort in SORT_VALUES ? sort : "updated", descending: up !== "1",
    selected: select ? select.split(",") : [], state };
}

/** @param {any} run @param {string} filter @param {string} state */
function matches(run, filter, state) {
  if (state && (state === "active" ? !run.state.alive : (run.state.outcome || run.state.name) !== state)) {
    return false;
  }
  const text = [nameOf(run), run.state.text, run.model?.name, run.method, run.note, ...(run.tags || []),
    ...(run.corpora || []).map((/** @type {any} */ corpus) => corpus.name)]
    .join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** The runs that the filter lets through, in the order of the URL. @param {any[]} runs */
export function chosenRuns(runs) {
  const { filter, sort, descending, state } = listQuery();
  const value = SORT_VALUES[sort];
  const direction = descending ? -1 : 1;
  return runs
    .filter((run) => matches(run, filter, state))
    .sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x == null || y == null) return (x == null ? 1 : 0) - (y == null ? 1 : 0);
      return (x < y ? -1 : x > y ? 1 : 0) * direction || nameOf(a).localeCompare(nameOf(b));
    });
}

/** @param {any} run @param {boolean} pinned */
async function pin(run, pinned) {
  try {
    await put("/api/pinned", { run: pinned ? null : run.id });
    toast(pinned ? `${nameOf(run)} is the baseline no more.` : `${nameOf(run)} is the baseline now.`);
    runsChanged.value = { count: runsChanged.value.count + 1, changed: [run.id] };
  } catch (error) {
    toastError(error);
  }
}

/** @param {string} id */
function toggleSelected(id) {
  const { selected } = listQuery();
  const next = selected.includes(id) ? selected.filter((other) => other !== id) : [...selected, id];
  setQuery({ select: next.join(",") });
}

/** @param {any} run @param {boolean} pinned */
function nameCell(run, pinned) {
  return h("div", { class: "run-name" },
    h("a", { href: `/runs/${run.id}` }, nameOf(run)),
    pinned && h(Badge, { tone: "info", icon: "pin" }, "baseline"),
    run.parent && h("span", { class: "hint" }, `from ${run.parent.run}`),
    h(ShortVerdict, { verdict: run.verdict }),
    (run.tags || []).map((/** @type {string} */ tag) => h("span", { class: "tag", key: tag }, tag)));
}

/** @param {{runs: any[], pinned: string | null}} props */
export function RunList({ runs, pinned }) {
  const { sort, descending, selected } = listQuery();
  const columns = [
    { id: "select", title: h("span", { class: "visually-hidden" }, "Compare"),
      cell: (/** @type {any} */ run) => h("input", { type: "checkbox", checked: selected.includes(run.id),
        "aria-label": `Select ${nameOf(run)} for comparison`, onChange: () => toggleSelected(run.id) }) },
    { id: "pin", title: h("span", { class: "visually-hidden" }, "Baseline"),
      cell: (/** @type {any} */ run) => run.kind !== "imported" && h(Button, { kind: "quiet", small: true, icon: "pin",
        "aria-pressed": run.id === pinned ? "true" : "false", "aria-label": `Baseline: ${nameOf(run)}`,
        title: run.id === pinned ? "The baseline of comparisons" : "Make it the baseline of comparisons",
        onClick: () => pin(run, run.id === pinned) }) },
    { id: "name", title: "Run", header: true, sortable: true,
      cell: (/** @type {any} */ run) => nameCell(run, run.id === pinned) },
    { id: "state", title: "State", sortable: true,
      cell: (/** @type {any} */ run) => run.kind === "imported"
        ? h(Badge, { icon: "file" }, "Imported, read-only")
        : h(StateBadge, { state: run.state, stalled: run.stalled, queued: run.queue_position,
          phase: run.phase }) },
    { id: "sparkline", title: "Loss", cell: (/** @type {any} */ run) => h("div", { class: "row-spark" },
      h(Sparkline, { values: run.sparkline, label: `Course of the loss of ${nameOf(run)}` }),
      h("span", { class: "figures" }, number(run.loss))) },
    { id: "step", title: "Step", sortable: true, number: true, cell: stepOf },
    { id: "domain_last", title: h("span", {}, "Domain ", h("small", {}, "last BPB")), sortable: true, number: true,
      cell: (/** @type {any} */ run) => bits(run.domain?.last) },
    { id: "domain_best", title: h("span", {}, "Domain ", h("small", {}, "best BPB")), sortable: true, number: true,
      cell: (/** @type {any} */ run) => bits(run.domain?.best) },
    { id: "general", title: h("span", {}, "General ", h("small", {}, "change BPB")), sortable: true, number: true,
      cell: (/** @type {any} */ run) => change(generalChange(run)) },
    { id: "tokens", title: "Tokens", sortable: true, number: true,
      cell: (/** @type {any} */ run) => count(run.tokens_seen) },
    { id: "model", title: "Model and corpora", sortable: true, class: "run-data",
      cell: (/** @type {any} */ run) => h("div", {},
        h("div", {}, run.model?.name || "–", run.method && h("span", { class: "muted" }, ` · ${run.method}`)),
        h("div", { class: "hint" }, (run.corpora || []).map((/** @type {any} */ corpus) => corpus.name).join(", "))) },
    { id: "updated", title: "Last news", sortable: true,
      cell: (/** @type {any} */ run) => {
        const when = run.updated ?? run.ended ?? run.created;
        return h("time", { title: date(when), class: "nowrap" }, ago(when));
      } },
  ];
  return h(Table, {
    caption: "All runs", columns, rows: runs, rowKey: (run) => run.id, empty: "No run matches the filter.",
    sort: { column: sort, descending }, rowClass: (run) => (selected.includes(run.id) ? "selected" : ""),
    onSort: (column) =>
      setQuery({ sort: column === "updated" ? null : column, up: column === sort && descending ? "1" : null }),
  });
}

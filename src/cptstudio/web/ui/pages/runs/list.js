/** All runs, a row each; on a phone a card each. */
import { toast, toastError } from "../../components/announce.js";
import { Badge, Button } from "../../components/elements.js";
import { groupsOf, Table } from "../../components/table.js";
import { put } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { runsChanged } from "../../lib/live.js";
import { h, useEffect, useRef, useState } from "../../lib/preact.js";
import { setQuery } from "../../lib/router.js";
import { nameOf } from "../../lib/run_words.js";
import { GROUP_OF, listQuery } from "./choices.js";
import { COLUMNS, shownColumns } from "./columns.js";

/** As many rows as are drawn at once; more come when their end is near. */
const PAGE = 100;

/** @param {any} run @param {boolean} pinned */
async function pin(run, pinned) {
  try {
    await put("/api/pinned", { run: pinned ? null : run.id });
    toast(pinned ? `“${nameOf(run)}” is no longer the baseline.` : `“${nameOf(run)}” is now the baseline.`);
    runsChanged.value = { count: runsChanged.value.count + 1, changed: [run.id] };
  } catch (error) {
    toastError(error);
  }
}

/** @param {string[]} ids @param {boolean} chosen */
function select(ids, chosen) {
  const others = listQuery().selected.filter((id) => !ids.includes(id));
  setQuery({ select: (chosen ? [...others, ...ids] : others).join(",") });
}

/** @param {any} run @param {boolean} pinned */
function nameCell(run, pinned) {
  return h("div", { class: "run-name" },
    h("a", { href: `/runs/${run.id}` }, nameOf(run)),
    pinned && h(Badge, { tone: "info", icon: "pin" }, "baseline"),
    run.parent && h("span", { class: "hint" }, `forked from ${run.parent.run}`),
    (run.tags || []).map((/** @type {string} */ tag) => h("span", { class: "tag", key: tag }, tag)));
}

/**
 * A box that is checked where all are, and in between where some are.
 * @param {{label: string, all: string[], selected: Set<string>}} props
 */
function SelectAll({ label, all, selected }) {
  const chosen = all.filter((id) => selected.has(id)).length;
  return h("input", { type: "checkbox", "aria-label": label, checked: chosen > 0 && chosen === all.length,
    ref: (/** @type {HTMLInputElement | null} */ box) => {
      if (box) box.indeterminate = chosen > 0 && chosen < all.length;
    },
    onChange: () => select(all, chosen < all.length) });
}

/** Calls when it comes near the window. @param {{reached: () => void}} props */
function Sentinel({ reached }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!place.current) return undefined;
    const watch = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && reached(),
      { rootMargin: "600px" });
    watch.observe(place.current);
    return () => watch.disconnect();
  }, [reached]);
  return h("span", { ref: place });
}

/** @param {{runs: any[], pinned: string | null}} props */
export function RunList({ runs, pinned }) {
  const { sort, descending, selected: ids, group, filter, state, model, tag } = listQuery();
  const [most, setMost] = useState(PAGE);
  useEffect(() => setMost(PAGE), [sort, descending, group, filter, state, model, tag]);
  const selected = new Set(ids);
  const groupOf = GROUP_OF[group];
  // Groups in the order of their first runs, so that what is drawn of them is whole.
  const ordered = groupOf ? groupsOf(runs, groupOf).flatMap(([, members]) => members) : runs;
  const columns = [
    { id: "select", class: "run-select",
      title: h(SelectAll, { label: "Select all shown runs", all: runs.map((run) => run.id), selected }),
      label: "",
      cell: (/** @type {any} */ run) => h("input", { type: "checkbox", checked: selected.has(run.id),
        "aria-label": `Select ${nameOf(run)}`, onChange: () => select([run.id], !selected.has(run.id)) }) },
    { id: "pin", class: "run-pin", title: h("span", { class: "visually-hidden" }, "Baseline"), label: "",
      cell: (/** @type {any} */ run) => run.kind !== "imported" && h(Button, { kind: "quiet", small: true, icon: "pin",
        "aria-pressed": run.id === pinned ? "true" : "false", "aria-label": `Baseline: ${nameOf(run)}`,
        title: run.id === pinned ? "Baseline for comparisons" : "Use as baseline",
        onClick: () => pin(run, run.id === pinned) }) },
    { id: "name", title: "Run", header: true, sortable: true,
      cell: (/** @type {any} */ run) => nameCell(run, run.id === pinned) },
    ...COLUMNS.filter((column) => shownColumns().includes(column.id)).map((column) => ({
      ...column, title: column.unit ? h("span", {}, column.label, " ", h("small", {}, column.unit)) : column.label,
      label: column.unit ? `${column.label}, ${column.unit.replace(", bits/byte", "")}` : column.label,
      sortable: column.sort !== undefined,
    })),
  ];
  const more = () => setMost((now) => now + PAGE);
  return [
    h(Table, {
      key: "table", caption: "All runs", columns, rows: ordered.slice(0, most), rowKey: (run) => run.id, stacks: true,
      empty: h("span", {}, "No runs match the filters. ", h(Button, { small: true, onClick: () =>
        setQuery({ filter: null, state: null, model: null, tag: null }) }, "Clear filters")),
      sort: { column: sort, descending }, rowClass: (run) => (selected.has(run.id) ? "selected" : ""),
      onSort: (column) =>
        setQuery({ sort: column === "updated" ? null : column, up: column === sort && descending ? "1" : null }),
      groupOf,
      groupTitle: (title, members) => {
        const all = runs.filter((run) => groupOf(run) === title).map((run) => run.id);
        return h("span", { class: "row" }, h(SelectAll, { label: `Select all of ${title}`, all, selected }), title,
          h("span", { class: "muted" }, members.length === all.length ? all.length
            : `${members.length} of ${all.length}`));
      },
    }),
    ordered.length > most && h("p", { class: "more-runs", key: "more" }, h(Sentinel, { reached: more, key: most }),
      h(Button, { small: true, onClick: more },
        `Show more (${integer(most)} of ${integer(ordered.length)})`)),
  ];
}

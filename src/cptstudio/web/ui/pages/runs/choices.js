/** Which runs are shown, in what order and groups, and with which columns. */
import { Button, Select } from "../../components/elements.js";
import { Toolbar } from "../../components/layout.js";
import { h, useEffect, useRef, useState, withChecked, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { nameOf } from "../../lib/run_words.js";
import { COLUMNS, corporaOf, showColumn, showDefaultColumns, shownColumns, SORTS } from "./columns.js";

const STATES = /** @type {[string, string][]} */ ([["active", "Running"], ["queued", "Queued"],
  ["prepared", "Not started"], ["completed", "Completed"], ["stopped", "Stopped"], ["failed", "Failed"],
  ["killed", "Force-stopped"], ["lost", "Lost"]]);
const GROUPS = [["model", "Model"], ["tag", "Tag"], ["state", "State"]];

/** What the URL says about the list. */
export function listQuery() {
  const { filter = "", sort = "updated", up, select = "", state = "", model = "", tag = "", group = "" } =
    route.value.query;
  return { filter, sort: sort in SORTS ? sort : "updated", descending: up !== "1",
    selected: select ? select.split(",") : [], state, model, tag, group };
}

/** @param {any} run */
function stateOf(run) {
  if (run.state.alive) return "active";
  if (run.queue_position != null) return "queued";
  return run.state.outcome || run.state.name;
}

/** @param {any} run */
function textOf(run) {
  return [nameOf(run), run.state.text, run.model?.name, run.method, run.note, ...(run.tags || []), corporaOf(run)]
    .join(" ").toLowerCase();
}

/** The runs that the filters let through, in the order of the URL. @param {any[]} runs */
export function chosenRuns(runs) {
  const { filter, sort, descending, state, model, tag } = listQuery();
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const value = SORTS[sort];
  const direction = descending ? -1 : 1;
  return runs
    .filter((run) => (!state || stateOf(run) === state) && (!model || run.model?.name === model)
      && (!tag || run.tags?.includes(tag)))
    .filter((run) => !words.length || words.every((word) => textOf(run).includes(word)))
    .map((run) => ({ run, key: value(run), name: nameOf(run) }))
    .sort((a, b) => {
      if (a.key == null || b.key == null) return (a.key == null ? 1 : 0) - (b.key == null ? 1 : 0);
      return (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) * direction || (a.name < b.name ? -1 : 1);
    })
    .map(({ run }) => run);
}

const STATE_WORDS = Object.fromEntries([...STATES, ["imported", "Imported"]]);

/** What a run is grouped by; several tags are one group. @type {Record<string, (run: any) => string>} */
export const GROUP_OF = {
  model: (run) => run.model?.name || "No model",
  tag: (run) => run.tags?.length ? [...run.tags].sort().join(", ") : "No tag",
  state: (run) => STATE_WORDS[stateOf(run)] ?? stateOf(run),
};

/** @param {any[]} runs @param {(run: any) => string[]} of @returns {[string, string][]} */
const foundIn = (runs, of) => [...new Set(runs.flatMap(of))].sort().map((one) => [one, one]);

/** @param {{runs: any[]}} props all of them */
export function Choices({ runs }) {
  const { filter, state, model, tag, group } = listQuery();
  const models = foundIn(runs, (run) => run.model?.name ? [run.model.name] : []);
  const tags = foundIn(runs, (run) => run.tags ?? []);
  return h(Toolbar, { label: "Filters", end: h(ColumnChoice, {}) },
    h("input", { type: "search", class: "filter", placeholder: "Filter by name, tag, model, or corpus",
      "aria-label": "Filter runs", value: filter, onInput: withValue((text) => setQuery({ filter: text })) }),
    h(Select, { "aria-label": "State", value: state, none: "All states", choices: STATES,
      onChoose: (name) => setQuery({ state: name }) }),
    models.length > 1 && h(Select, { "aria-label": "Model", value: model, none: "All models", choices: models,
      onChoose: (name) => setQuery({ model: name }) }),
    tags.length > 0 && h(Select, { "aria-label": "Tag", value: tag, none: "All tags", choices: tags,
      onChoose: (name) => setQuery({ tag: name }) }),
    h(Select, { "aria-label": "Group", value: group, none: "No grouping",
      choices: GROUPS.map(([id, words]) => [id, `By ${words.toLowerCase()}`]),
      onChoose: (name) => setQuery({ group: name }) }),
    h("span", { class: "narrow-only" }, h(Sorting, {})));
}

/** Cards have no heads to sort by. */
function Sorting() {
  const { sort, descending } = listQuery();
  const choices = [["name", "Name"], ...COLUMNS.filter((column) => column.sort)
    .map((column) => [column.id, column.unit ? `${column.label}, ${column.unit}` : column.label])];
  return h("span", { class: "row" },
    h(Select, { "aria-label": "Sort by", value: sort, choices,
      onChoose: (name) => setQuery({ sort: name === "updated" ? null : name }) }),
    h(Button, { small: true, icon: descending ? "down" : "up", "aria-label": descending ? "Descending" : "Ascending",
      onClick: () => setQuery({ up: descending ? "1" : null }) }));
}

function ColumnChoice() {
  const [open, setOpen] = useState(false);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const shown = shownColumns();
  useEffect(() => {
    if (!open) return undefined;
    const outside = (/** @type {Event} */ event) => {
      if (!place.current?.contains(/** @type {Node} */ (event.target))) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  return h("div", { class: "menu column-choice", ref: place, onKeyDown: (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    setOpen(false);
    place.current?.querySelector("button")?.focus();
  } },
    h(Button, { icon: "table", "aria-expanded": open ? "true" : "false", onClick: () => setOpen(!open) }, "Columns"),
    open && h("div", { class: "menu-list column-list", role: "group", "aria-label": "Columns" },
      COLUMNS.map((column) => h("label", { key: column.id },
        h("input", { type: "checkbox", checked: shown.includes(column.id),
          onChange: withChecked((checked) => showColumn(column.id, checked)) }),
        column.label, column.unit && h("small", { class: "muted" }, column.unit))),
      h(Button, { small: true, kind: "quiet", onClick: showDefaultColumns }, "Reset columns")));
}

/** The columns that a list of runs can have. */
import { Badge, StateBadge } from "../../components/elements.js";
import { Sparkline } from "../../components/sparkline.js";
import { ShortVerdict } from "../../components/verdict.js";
import { ago, bits, bytes, change, count, date, duration, number, rate } from "../../lib/format.js";
import { runColumns } from "../../lib/preferences.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf, stepOf } from "../../lib/run_words.js";

/**
 * @typedef {object} RunColumn
 * @property {string} id
 * @property {string} label
 * @property {string=} unit below the label
 * @property {(run: any) => any} cell
 * @property {((run: any) => any)=} sort what it is sorted by; null and undefined come last
 * @property {boolean=} number
 * @property {boolean=} shown whether it is shown where nothing was chosen
 * @property {string=} class
 */

const BITS = "bits/byte";
const timeOf = (/** @type {number | null | undefined} */ when) =>
  h("time", { title: date(when), class: "nowrap" }, ago(when));
const updatedOf = (/** @type {any} */ run) => run.updated ?? run.ended ?? run.created;
const trainedFor = (/** @type {any} */ run) => run.started == null ? null
  : (run.ended ?? (run.state.alive ? Date.now() / 1000 : run.updated ?? run.started)) - run.started;

/** All but the run's name, which is always there. @type {RunColumn[]} */
export const COLUMNS = [
  { id: "state", label: "State", shown: true, class: "run-state", sort: (run) => run.state.text,
    cell: (run) => run.kind === "imported"
      ? h(Badge, { icon: "file" }, "Imported (read-only)")
      : h(StateBadge, { state: run.state, stalled: run.stalled, queued: run.queue_position, phase: run.phase }) },
  { id: "verdict", label: "Verdict", shown: true, class: "verdict-cell",
    cell: (run) => run.verdict?.parts?.some((/** @type {any} */ part) => part.short)
      ? h(ShortVerdict, { verdict: run.verdict }) : null },
  { id: "loss", label: "Loss", shown: true, sort: (run) => run.loss,
    cell: (run) => h("div", { class: "row-spark" },
      h(Sparkline, { values: run.sparkline, label: `Loss curve of ${nameOf(run)}` }),
      h("span", { class: "figures" }, number(run.loss))) },
  { id: "step", label: "Step", shown: true, number: true, sort: (run) => run.step ?? -1, cell: stepOf },
  { id: "domain_last", label: "Domain", unit: `last, ${BITS}`, shown: true, number: true,
    sort: (run) => run.domain?.last, cell: (run) => bits(run.domain?.last) },
  { id: "domain_change", label: "Domain", unit: `change, ${BITS}`, number: true, sort: domainChange,
    cell: (run) => change(domainChange(run)) },
  { id: "domain_best", label: "Domain", unit: `best, ${BITS}`, number: true, sort: (run) => run.domain?.best,
    cell: (run) => bits(run.domain?.best) },
  { id: "general", label: "General", unit: `change, ${BITS}`, number: true, sort: generalChange,
    cell: (run) => change(generalChange(run)) },
  { id: "general_last", label: "General", unit: `last, ${BITS}`, number: true, sort: (run) => run.general?.last,
    cell: (run) => bits(run.general?.last) },
  { id: "tokens", label: "Tokens", number: true, sort: (run) => run.tokens_seen,
    cell: (run) => count(run.tokens_seen) },
  { id: "speed", label: "Throughput", number: true, sort: (run) => run.tokens_per_second,
    cell: (run) => rate(run.tokens_per_second, "tokens") },
  { id: "memory", label: "Memory", number: true, sort: (run) => run.memory_process,
    cell: (run) => bytes(run.memory_process) },
  { id: "duration", label: "Duration", number: true, sort: trainedFor, cell: (run) => duration(trainedFor(run)) },
  { id: "model", label: "Model", class: "run-data", sort: (run) => run.model?.name?.toLowerCase(),
    cell: (run) => h("div", {}, run.model?.name || "–",
      run.method && h("span", { class: "muted" }, ` · ${run.method}`)) },
  { id: "corpora", label: "Corpora", class: "run-data", sort: (run) => corporaOf(run).toLowerCase() || null,
    cell: (run) => corporaOf(run) || "–" },
  { id: "note", label: "Note", class: "run-data", sort: (run) => run.note || null,
    cell: (run) => run.note ? run.note.slice(0, 120) : "–" },
  { id: "created", label: "Created", number: true, sort: (run) => run.created, cell: (run) => timeOf(run.created) },
  { id: "updated", label: "Last update", shown: true, number: true, sort: (run) => updatedOf(run) ?? 0,
    cell: (run) => timeOf(updatedOf(run)) },
];

/** @param {any} run */
export const corporaOf = (run) => (run.corpora || []).map((/** @type {any} */ corpus) => corpus.name).join(", ");

/** What each column is sorted by, with the name's. @type {Record<string, (run: any) => any>} */
export const SORTS = { name: (run) => nameOf(run).toLowerCase(),
  ...Object.fromEntries(COLUMNS.flatMap(({ id, sort }) => sort ? [[id, sort]] : [])) };

const DEFAULT = COLUMNS.filter((column) => column.shown).map((column) => column.id);

/** Ids of the columns that this browser shows. */
export function shownColumns() {
  const chosen = runColumns.value.split(".").filter((id) => COLUMNS.some((column) => column.id === id));
  return runColumns.value === "" ? DEFAULT : chosen;
}

/** @param {string} id @param {boolean} shown */
export function showColumn(id, shown) {
  const now = shownColumns();
  const next = COLUMNS.map((column) => column.id).filter((one) => one === id ? shown : now.includes(one));
  runColumns.value = next.length ? next.join(".") : "none";
}

export function showDefaultColumns() {
  runColumns.value = "";
}

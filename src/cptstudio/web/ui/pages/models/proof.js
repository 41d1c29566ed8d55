/** How an export compares with the checkpoint it was made from: the table that every format shows. */

import { bits, bytes, change, integer, number, percent } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { jobs } from "../../lib/live.js";
import { Icon, Problem } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { Table } from "../../components/table.js";

/** @typedef {import("./words.js").Model} Model */

/** @param {number|null} value */
const speed = (value) => (value === null ? "–" : `${number(value, 3)} tokens/s`);

/** The rows of the table. @param {any} found a comparison of GET /api/exports */
function rowsOf(found) {
  const size = found.bytes / found.reference_bytes - 1;
  return [
    { title: "Bits per byte", checkpoint: bits(found.reference_bits_per_byte), made: bits(found.bits_per_byte),
      difference: change(found.cost) },
    { title: "Size", checkpoint: bytes(found.reference_bytes), made: bytes(found.bytes),
      difference: `${size < 0 ? "−" : "+"}${percent(Math.abs(size))}` },
    { title: "Bits per weight", made: found.bits_per_weight === null ? "–" : number(found.bits_per_weight, 3) },
    { title: "Speed", checkpoint: speed(found.reference_tokens_per_second), made: speed(found.tokens_per_second) },
    { title: "Equal greedy texts", made: `${integer(found.equal_prompts)} of ${integer(found.prompts)}` },
    { title: "Equal greedy tokens", made: percent(found.greedy_agreement) },
    { title: "Same most probable token", made: percent(found.best_agreement) },
    { title: "Log-probability differs, mean", made: `${number(found.mean_difference, 2)} nats` },
    { title: "Log-probability differs, largest", made: `${number(found.max_difference, 2)} nats` },
  ];
}

/**
 * @param {{proof: any, more_proofs?: readonly any[], notes?: readonly string[]}} props proof: of GET /api/exports, null
 *   where it was not compared
 */
export function ProofView({ proof, more_proofs = [], notes = [] }) {
  if (more_proofs.length > 0) {
    return h("div", { class: "stack" }, [proof, ...more_proofs].map((one) => h("section", { key: one.comparison.by },
      h("h3", null, one.comparison.by), h(ProofView, { proof: one, notes: one === proof ? notes : [] }))));
  }
  const told = notes.map((note) => h("p", { key: note, class: "hint" }, note));
  if (proof === null) {
    return h("div", { class: "stack" }, h("p", { class: "muted" }, "Not compared with its checkpoint."), told);
  }
  const cell = (/** @type {string} */ name) => (/** @type {any} */ row) => row[name] ?? "";
  return h("div", { class: "stack" },
    proof.warning !== "" && h("p", { class: "notice notice-warn" }, h(Icon, { name: "alert" }), " ", proof.warning),
    h(Table, { caption: `Compared with the checkpoint, by ${proof.comparison.by}`, stacks: true,
      rows: rowsOf(proof.comparison),
      rowKey: (row) => row.title, columns: [
        { id: "title", title: "Measure", header: true, cell: cell("title") },
        { id: "checkpoint", title: "Checkpoint", number: true, cell: cell("checkpoint") },
        { id: "made", title: "Export", number: true, cell: cell("made") },
        { id: "difference", title: "Difference", number: true, cell: cell("difference") },
      ] }),
    h("p", { class: "hint" }, `The checkpoint was computed in ${proof.comparison.reference_computed}, the export `
      + `in ${proof.comparison.computed}.`),
    proof.sentences.map((/** @type {string} */ sentence) => h("p", { key: sentence }, sentence)),
    told);
}

/** The section of an exported model. @param {{model: Model}} props */
export function Comparison({ model }) {
  const { data, error, reload } = useResource("/api/exports");
  const found = data?.exports.find((/** @type {any} */ one) => one.reference === model.reference);
  if (error !== null) return h(Problem, { error, retry: reload });
  if (data === null) return h(Skeleton, { label: "Loading the comparison…", lines: 6 });
  if (found === undefined) return h("p", { class: "muted" }, "This export was deleted.");
  return h(Card, { title: `Compared with ${found.source}` }, h(ProofView, found));
}

/** The end of an export that was ordered here. @param {{job: any}} props */
export function Made({ job }) {
  const now = jobs.value[job.id] ?? job;
  if (now.state !== "done" || !now.result) return null;
  return h("div", { class: "stack" },
    h("p", { role: "status" }, "Saved as ",
      h("a", { class: "break", href: `/models?${new URLSearchParams({ model: `exports/${now.result.name}` })}` },
        now.result.name), "."),
    h(ProofView, now.result));
}

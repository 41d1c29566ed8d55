/** The checkpoints of all runs: of each run the newest and the best, all of them when asked for. */

import { bits, bytes, date, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { setQuery } from "../../lib/router.js";
import { Badge, Button } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { RowMenu } from "./actions.js";
import { day, sortBy } from "./model_table.js";
import { listQuery } from "./query.js";
import { addressOf, weightsOf } from "./words.js";

/** @typedef {import("./words.js").Model} Model */

/** @param {{checkpoints: Model[]}} props */
export function CheckpointTable({ checkpoints }) {
  const { sort, descending, open, filter } = listQuery();
  const shown = checkpoints.filter((one) => one.last || one.best || one.error !== null || filter !== ""
    || open.includes(String(one.run)));
  const of = (/** @type {string} */ run) => checkpoints.filter((one) => one.run === run);
  return h(Table, { caption: "Checkpoints", stacks: true, rows: shown,
    rowKey: (/** @type {Model} */ model) => model.reference,
    sort: { column: sort, descending }, onSort: sortBy,
    groupOf: (/** @type {Model} */ model) => String(model.run),
    groupTitle: (run, members) => h(RunTitle, { run, all: of(run), shown: members.length, open }),
    columns: [
      { id: "name", title: "Checkpoint", header: true, sortable: true, cell: nameCell },
      { id: "weights", title: "Weights", sortable: true, cell: weightsOf },
      { id: "bits", title: "Domain validation (bits/byte)", number: true,
        cell: (/** @type {Model} */ model) => bits(model.domain_bits_per_byte) },
      { id: "bytes", title: "Size", number: true, sortable: true, class: "nowrap",
        cell: (/** @type {Model} */ model) => bytes(model.bytes) },
      { id: "resume", title: "For resuming only", number: true, class: "nowrap",
        cell: (/** @type {Model} */ model) => bytes(model.training_bytes) },
      { id: "created", title: "Created", sortable: true, class: "nowrap",
        cell: (/** @type {Model} */ model) => h("span", { title: date(model.created) }, day(model.created)) },
      { id: "actions", title: h("span", { class: "visually-hidden" }, "Actions"), label: "", class: "model-menu",
        cell: (/** @type {Model} */ model) => h(RowMenu, { model }) },
    ] });
}

/** @param {Model} model */
function nameCell(model) {
  return h("span", { class: "row" },
    h("a", { href: addressOf(model.reference) }, model.step === null ? model.name : `Step ${integer(model.step)}`),
    model.last && h(Badge, {}, "newest"),
    model.best && h(Badge, { tone: "good", icon: "check" }, "best"),
    model.error !== null && h(Badge, { tone: "bad", icon: "alert", title: model.error }, "Can't be used"));
}

/** @param {{run: string, all: Model[], shown: number, open: string[]}} props */
function RunTitle({ run, all, shown, open }) {
  const size = all.reduce((sum, one) => sum + (one.bytes ?? 0), 0);
  const isOpen = open.includes(run);
  const others = isOpen ? open.filter((one) => one !== run) : [...open, run];
  return h("span", { class: "row" },
    h("a", { href: `/runs/${run}` }, run),
    h("span", { class: "muted model-run-note" },
      `${all.length === 1 ? "1 checkpoint" : `${integer(all.length)} checkpoints`}, ${bytes(size)}`),
    (isOpen || shown < all.length) && h(Button, { small: true, kind: "quiet",
      "aria-expanded": isOpen ? "true" : "false", onClick: () => setQuery({ runs: others.join(",") }) },
      isOpen ? "Show fewer" : `Show all ${integer(all.length)}`,
      h("span", { class: "visually-hidden" }, ` checkpoints of ${run}`)));
}

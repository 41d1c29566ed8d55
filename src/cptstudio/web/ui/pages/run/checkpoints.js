import { Badge, Button } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { urlOf } from "../../lib/api.js";
import { bits, bytes, date, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { resumable } from "../../lib/run_words.js";
import { testLinks } from "./test_links.js";

/** @param {{run: any, setDialog: (dialog: {kind: string, checkpoint?: string}) => void}} props */
export function Checkpoints({ run, setDialog }) {
  const rows = [...run.checkpoints].reverse();
  const ended = !run.state.alive && run.state.name !== "prepared" && run.state.name !== "missing";
  // From its last checkpoint a completed run has no step left; from an earlier one it does some again.
  const again = (/** @type {any} */ one) => ended && (one !== rows[0] || resumable(run));
  return h("div", { class: "stack" },
    h("p", { class: "muted break" }, rows.length
      ? `Each checkpoint is a folder you can load with mlx_lm: ${run.directory}/checkpoints`
      : "No checkpoints yet."),
    rows.length > 0 && h(Table, {
      caption: "Checkpoints", rows, rowKey: (one) => one.name,
      columns: [
        { id: "name", title: "Checkpoint", header: true,
          cell: (one) => h("span", { class: "run-name" }, one.name,
            one.best && h(Badge, { tone: "good", icon: "check" }, "best")) },
        { id: "step", title: "Step", number: true, cell: (one) => integer(one.step) },
        { id: "bits", title: "Domain validation (bits/byte)", number: true,
          cell: (one) => bits(one.domain_bits_per_byte) },
        { id: "layout", title: "Format",
          cell: (one) => (one.problem ? h("span", { class: "field-problem" },
            one.problem) : one.layout === "adapter" ? "Adapter" : "Full model") },
        { id: "bytes", title: "Size", number: true, cell: (one) => bytes(one.bytes) },
        { id: "created", title: "Saved", cell: (one) => h("span", { class: "nowrap" }, date(one.created)) },
        { id: "actions", title: h("span", { class: "visually-hidden" }, "Actions"),
          cell: (one) => !one.problem && h("div", { class: "row" },
            again(one) && h(Button, { small: true, "aria-label": `Resume from ${one.name}`,
              onClick: () => setDialog({ kind: "resume", checkpoint: one.name }) }, "Resume…"),
            h(Button, { small: true, "aria-label": `Test ${one.name}`, href: testLinks(run, one.name).playground },
              "Test"),
            h(Button, { small: true, "aria-label": `Evaluate ${one.name}`, href: testLinks(run, one.name).evaluate },
              "Evaluate"),
            one.layout === "model" && h(Button, { small: true, "aria-label": `Next stage from ${one.name}`,
              href: urlOf("/new", { model: `${run.id}@${one.name}` }) }, "Next stage…"),
            h(Button, { small: true, "aria-label": `Fork from ${one.name}`,
              onClick: () => setDialog({ kind: "fork", checkpoint: one.name }) }, "Fork…")) },
      ],
    }));
}

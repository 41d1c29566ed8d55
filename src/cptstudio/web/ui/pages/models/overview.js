/** What a model is, where it came from, what was made from it, and what lies in its folder. */

import { bits, bytes, count, date, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { Table } from "../../components/table.js";
import { copy } from "./actions.js";
import { Lineage } from "./lineage.js";
import { KINDS, PLACES, weightsOf } from "./words.js";

/** @typedef {import("./words.js").Model} Model */
/** @typedef {import("./words.js").ModelDetail} ModelDetail */

const FEW_FILES = 12;

/** @param {{one: ModelDetail}} props */
export function Overview({ one }) {
  const { model, files } = one;
  return h("div", { class: "stack" },
    model.error !== null && h(Problem, { error: new Error(`This model can't be used. ${model.error}`) }),
    h(Card, { title: "About", icon: "info" }, h("dl", { class: "pairs" }, facts(model).flatMap(([name, value]) => [
      h("dt", { key: `${name} name` }, name), h("dd", { key: `${name} value` }, value)]))),
    h(Card, { title: "Lineage", icon: "fork" }, h(Lineage, { one })),
    files.length > 0 && h(Card, { title: "Files", icon: "file", flush: true, class: "card-table" },
      files.length <= FEW_FILES ? h(Files, { files })
        : h("details", { class: "model-files" }, h("summary", {}, `${integer(files.length)} files`),
          h(Files, { files }))));
}

/** @param {Model} model @returns {[string, any][]} */
function facts(model) {
  const packed = model.quantization;
  const rows = /** @type {([string, any] | false | null)[]} */ ([
    ["Kind", model.run === null ? KINDS[model.kind] : h("span", { class: "row" }, "Checkpoint of ",
      h("a", { href: `/runs/${model.run}` }, model.run), model.last && h(Badge, {}, "newest"),
      model.best && h(Badge, { tone: "good", icon: "check" }, "best"))],
    model.merge !== null && ["Merge", model.merge],
    model.format !== null && ["Format", model.format.toUpperCase()],
    model.architecture !== null && ["Architecture", model.architecture],
    model.parameters !== null && ["Parameters", model.adapter ? `${count(model.parameters)} in the base model`
      : count(model.parameters)],
    weightsOf(model) !== "" && ["Weights", packed === null || packed.group_size === null ? weightsOf(model)
      : `${weightsOf(model)}, groups of ${integer(packed.group_size)}`],
    model.context_length !== null && ["Context length", `${integer(model.context_length)} tokens`],
    model.vocabulary_size !== null && ["Vocabulary", `${integer(model.vocabulary_size)} tokens`],
    model.has_chat_template !== null && ["Chat template", model.has_chat_template ? "Yes" : "No"],
    ["License", model.license === null ? h("span", { class: "muted" }, "Not specified")
      : h("span", {}, model.license, model.license_of !== null
        && h("span", { class: "muted" }, ` (from ${model.license_of})`))],
    model.domain_bits_per_byte !== null && ["Domain validation", `${bits(model.domain_bits_per_byte)} bits per byte`],
    ["Size on disk", model.training_bytes
      ? `${bytes(model.bytes)}, ${bytes(model.training_bytes)} of it only for resuming` : bytes(model.bytes)],
    ["Created", date(model.created)],
    ["Stored in", PLACES[model.place]],
    ["Folder", h("span", { class: "row" }, h("code", { class: "break" }, model.path),
      h(Button, { small: true, onClick: () => void copy(model.path) }, "Copy path"))],
  ]);
  return /** @type {[string, any][]} */ (rows.filter(Boolean));
}

/** @param {{files: {name: string, bytes: number}[]}} props */
function Files({ files }) {
  return h(Table, { caption: "Files", rows: files, rowKey: (file) => file.name, columns: [
    { id: "name", title: "File", header: true, class: "break", cell: (file) => file.name },
    { id: "bytes", title: "Size", number: true, class: "nowrap", cell: (file) => bytes(file.bytes) },
  ] });
}

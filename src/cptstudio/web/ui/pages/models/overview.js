/** What a model is, where it came from, what was made from it, and what lies in its folder. */

import { ABSENT, bits, bytes, count, date, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { Stat, Stats } from "../../components/figures.js";
import { Card } from "../../components/layout.js";
import { Table } from "../../components/table.js";
import { copy } from "./actions.js";
import { AnswerEnds } from "../../components/answer_ends.js";
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
    h(Figures, { model }),
    h("div", { class: "model-columns" },
      h(Card, { title: "About", icon: "info" }, h("dl", { class: "pairs" }, facts(model).flatMap(([name, value]) => [
        h("dt", { key: `${name} name` }, name), h("dd", { key: `${name} value` }, value)]))),
      h(Card, { title: "Lineage", icon: "fork" }, h(Lineage, { one }))),
    files.length > 0 && h(Card, { title: "Files", icon: "file" },
      files.length <= FEW_FILES ? h(Files, { files })
        : h("details", {}, h("summary", {}, `${integer(files.length)} files`), h(Files, { files }))));
}

/** What a model is chosen by. @param {{model: Model}} props */
function Figures({ model }) {
  const packed = model.quantization;
  return h(Stats, {},
    h(Stat, { title: "Architecture", value: model.architecture ?? ABSENT, note: model.format?.toUpperCase() }),
    h(Stat, { title: "Parameters", value: count(model.parameters),
      note: model.adapter ? "in the base model" : undefined }),
    h(Stat, { title: "Weights", value: weightsOf(model) || ABSENT,
      note: packed?.group_size ? `groups of ${integer(packed.group_size)}` : undefined }),
    h(Stat, { title: "Context", value: integer(model.context_length), note: model.has_chat_template === null ? undefined
      : model.has_chat_template ? "with chat template" : "no chat template" }),
    h(Stat, { title: "Size on disk", value: bytes(model.bytes), note: model.training_bytes
      ? `${bytes(model.training_bytes)} of it only for resuming` : undefined }),
    h(Stat, { title: "License", value: model.license ?? ABSENT, note: model.license_of !== null
      ? `from ${model.license_of}` : model.license === null ? "not specified" : undefined }));
}

/** @param {Model} model @returns {[string, any][]} */
function facts(model) {
  const rows = /** @type {([string, any] | false)[]} */ ([
    ["Kind", model.run === null ? KINDS[model.kind] : h("span", { class: "row" }, "Checkpoint of ",
      h("a", { href: `/runs/${model.run}` }, model.run), model.last && h(Badge, {}, "newest"),
      model.best && h(Badge, { tone: "good", icon: "check" }, "best"))],
    model.merge !== null && ["Merge", model.merge],
    model.origin !== null && ["Hub", `${model.origin.id} at ${model.origin.commit.slice(0, 8)}`],
    model.domain_bits_per_byte !== null && ["Domain validation", `${bits(model.domain_bits_per_byte)} bits per byte`],
    model.vocabulary_size !== null && ["Vocabulary", `${integer(model.vocabulary_size)} tokens`],
    model.has_chat_template && model.error === null && model.format !== "gguf"
      && ["An answer ends at", h(AnswerEnds, { label: model.reference })],
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

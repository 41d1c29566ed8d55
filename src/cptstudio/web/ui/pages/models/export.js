/** Export: the formats that a model can be made into, one below the other. */

import { h } from "../../lib/preact.js";
import { Card } from "../../components/layout.js";
import { GgufExport, GgufPlaces } from "./gguf_export.js";
import { FuseExport, QuantizeExport } from "./mlx_export.js";

/** @typedef {import("./words.js").Model} Model */
/**
 * @typedef {object} ExportFormat
 * @property {string} id
 * @property {string} title
 * @property {(model: Model) => boolean} wanted for which models it is there
 * @property {(props: {model: Model, reload: () => Promise<void>}) => any} Content of its card
 */

/** A format is a module in this folder that exports its component, and a line here. @type {ExportFormat[]} */
export const EXPORTS = [
  { id: "fuse", title: "Complete model", wanted: (model) => model.kind !== "exported", Content: FuseExport },
  { id: "quantize", title: "Quantized for MLX", wanted: (model) => model.kind !== "exported", Content: QuantizeExport },
  { id: "gguf", title: "GGUF", wanted: (model) => model.kind !== "exported", Content: GgufExport },
  { id: "places", title: "Other programs", wanted: (model) => model.kind === "exported", Content: GgufPlaces },
];

/** @param {{model: Model, reload: () => Promise<void>}} props */
export function ExportSection({ model, reload }) {
  return h("div", { class: "stack" }, EXPORTS.filter((one) => one.wanted(model)).map(({ id, title, Content }) =>
    h(Card, { key: id, title }, h(Content, { model, reload }))));
}

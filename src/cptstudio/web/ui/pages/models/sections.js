/**
 * The sections of a model's own view: one tab each.
 *
 * A new one is a module in this folder that exports a component, and a line in SECTIONS. The component gets
 * `{model, one, reload}`: the model, all that GET /api/models/one says of it, and what fetches it anew. `wanted` says
 * for which models the tab is there. A job whose `on` is "model" and whose `about` is the model's reference is shown
 * above the tabs by itself. Ways to export stand in `EXPORTS` of export.js.
 */

import { CardSection } from "./card_text.js";
import { EXPORTS, ExportSection } from "./export.js";
import { Overview } from "./overview.js";
import { PublishSection } from "./publish.js";
import { ServeSection } from "./serve.js";
import { Comparison } from "./proof.js";

/** @typedef {import("./words.js").Model} Model */
/** @typedef {import("./words.js").ModelDetail} ModelDetail */
/**
 * @typedef {object} Section
 * @property {string} id in the address
 * @property {string} title
 * @property {(model: Model, one: ModelDetail) => boolean} wanted
 * @property {(props: {model: Model, one: ModelDetail, reload: () => Promise<void>}) => any} Content
 */

/** @type {Section[]} */
export const SECTIONS = [
  { id: "overview", title: "Overview", wanted: () => true, Content: Overview },
  { id: "card", title: "Card and license", wanted: (_, one) => one.texts.length > 0, Content: CardSection },
  { id: "comparison", title: "Comparison", wanted: (model) => model.kind === "exported", Content: Comparison },
  { id: "export", title: "Export", Content: ExportSection,
    wanted: (model) => model.error === null && EXPORTS.some((one) => one.wanted(model)) },
  { id: "serve", title: "Serve", Content: ServeSection,
    wanted: (model) => model.error === null && (model.format === null || model.format === "mlx") },
  { id: "publish", title: "Publish", Content: PublishSection,
    wanted: (model) => model.error === null && model.kind !== "downloaded" && model.place !== "cache" },
];

/**
 * The sections of a model's own view: one tab each.
 *
 * A new one is a module in this folder that exports a component, and a line in SECTIONS. The component gets
 * `{model, reload}`: the model as GET /api/models/one has it, and what fetches it anew. `wanted` says for which models
 * the tab is there; a job whose `on` is "model" and whose `about` is the model's reference is shown above the tabs by
 * itself. Ways to export stand in `EXPORTS` of export.js.
 */

import { EXPORTS, ExportSection } from "./export.js";
import { Overview } from "./overview.js";

/** @typedef {import("./words.js").Model} Model */
/**
 * @typedef {object} Section
 * @property {string} id in the address
 * @property {string} title
 * @property {(model: Model) => boolean} wanted
 * @property {(props: {model: Model, reload: () => Promise<void>, madeInto: import("./words.js").ModelLink[]}) => any}
 *   Content
 */

/** @type {Section[]} */
export const SECTIONS = [
  { id: "overview", title: "Overview", wanted: () => true, Content: Overview },
  { id: "export", title: "Export", Content: ExportSection,
    wanted: (model) => model.error === null && EXPORTS.some((one) => one.wanted(model)) },
];

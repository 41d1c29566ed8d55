/** What is known of a model, in words. */

import { modelsToQuery } from "../../components/model_choice.js";
import { urlOf } from "../../lib/api.js";

/**
 * A row of GET /api/models/all.
 * @typedef {object} Model
 * @property {string} reference what names it in requests and addresses
 * @property {string} name
 * @property {"base"|"downloaded"|"merged"|"exported"|"checkpoint"} kind
 * @property {"workspace"|"cache"|"folder"|"elsewhere"|"missing"} place
 * @property {string} path
 * @property {number|null} bytes
 * @property {number|null} training_bytes of them, what only a resume needs
 * @property {number|null} created
 * @property {boolean} adapter
 * @property {number|null} parameters
 * @property {string|null} architecture
 * @property {string|null} dtype
 * @property {{bits: number|null, group_size: number|null, method: string}|null} quantization
 * @property {number|null} context_length
 * @property {number|null} vocabulary_size
 * @property {boolean|null} has_chat_template
 * @property {string|null} license
 * @property {string|null} license_of the model that names it, where it is another one
 * @property {string|null} error why it cannot be used
 * @property {string|null} run
 * @property {number|null} step
 * @property {boolean} best
 * @property {boolean} last
 * @property {number|null} domain_bits_per_byte
 * @property {string|null} method
 * @property {{id: string, commit: string, revision: string, downloaded: number}|null} origin
 * @property {string|null} merge
 * @property {string|null} format of an export
 * @property {string|null} weights of an export
 * @property {ModelLink[]} made_from
 */
/** @typedef {{relation: string, reference: string|null, label: string, weight: number|null}} ModelLink */
/**
 * One step of a lineage; a node belongs below the last one that is less deep.
 * @typedef {{depth: number, relation: string, reference: string|null, label: string, kind: string|null,
 *   weight: number|null, count: number|null, error: string|null}} LineageNode
 */
/**
 * GET /api/models/one.
 * @typedef {{model: Model, ancestors: LineageNode[], descendants: LineageNode[],
 *   deletion: {refusal: string|null, consequences: string[]}, files: {name: string, bytes: number}[],
 *   texts: {name: string, bytes: number}[]}} ModelDetail
 */

/** @type {{[kind: string]: string}} */
export const KINDS = {
  base: "Base", downloaded: "Downloaded", merged: "Merged", exported: "Exported", checkpoint: "Checkpoint",
};

/** The same, of several. @type {{[kind: string]: string}} */
export const PLURALS = {
  base: "Base", downloaded: "Downloaded", merged: "Merged", exported: "Exported", checkpoint: "Checkpoints",
};

/** @type {{[place: string]: string}} */
export const PLACES = {
  workspace: "Workspace", cache: "Hugging Face cache", folder: "Added folder", elsewhere: "Outside the workspace",
  missing: "Missing",
};

/** The address of a model's own view. @param {string} reference */
export const addressOf = (reference) => `/models?${new URLSearchParams({ model: reference })}`;

/** Where a model is put to use. @param {Model} model */
export function placesToUse(model) {
  if (model.error !== null || model.format === "gguf" || model.place === "elsewhere") return {};
  const models = modelsToQuery([model.reference]);
  return {
    playground: urlOf("/playground", { models }).replaceAll("%2C", ","),
    evaluate: urlOf("/evaluate", { view: "table", models }).replaceAll("%2C", ","),
    chat: model.kind === "checkpoint" ? urlOf("/evaluate", { view: "chat", checkpoint: models })
      : model.has_chat_template ? urlOf("/evaluate", { view: "chat", do: "check", models }).replaceAll("%2C", ",")
        : undefined,
    // An adapter is fused first.
    train: model.adapter ? undefined : urlOf("/new", { model: model.reference }),
  };
}

/** How its weights are stored: "bfloat16", "4-bit", "Q4_K_M", "LoRA adapter". @param {Model} model */
export function weightsOf(model) {
  if (model.adapter) return `${model.method === "dora" ? "DoRA" : "LoRA"} adapter`;
  if (model.weights) return model.weights;
  if (model.quantization === null) return model.dtype ?? "";
  const { bits, method } = model.quantization;
  return `${bits === null ? "quantized" : `${bits}-bit`}${method === "mlx" ? "" : ` (${method})`}`;
}

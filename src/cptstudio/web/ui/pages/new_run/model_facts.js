/** What is known of a base model, in words. */

import { bytes, count, integer } from "../../lib/format.js";

/**
 * @typedef {object} Model
 * @property {string} id
 * @property {string} name
 * @property {"workspace"|"cache"|"folder"} place
 * @property {string} path
 * @property {number|null} bytes
 * @property {number|null} parameters
 * @property {string|null} architecture
 * @property {{bits: number|null, group_size: number|null, method: string}|null} quantization
 * @property {string|null} dtype
 * @property {number|null} context_length
 * @property {number|null} vocabulary_size
 * @property {{possible: boolean, reason: string|null}} full_training
 * @property {{id: string}|null} origin where it was downloaded from
 * @property {boolean|null} has_chat_template
 * @property {string|null} license as its card names it
 * @property {string|null} merge which sum of models it is, where it is a saved merge
 * @property {string|null} error
 */

const PLACES = { workspace: "in this workspace", cache: "in the Hugging Face cache", folder: "a folder" };

/** How it is built and how large it is. @param {Model} model */
export function sizeOf(model) {
  return [
    model.parameters === null ? "" : `${count(model.parameters)} parameters`,
    model.bytes === null ? "" : bytes(model.bytes),
    model.architecture ?? "",
    model.context_length === null ? "" : `context ${integer(model.context_length)}`,
  ].filter(Boolean).join(" · ");
}

/** Where it is, and what may be done with it. @param {Model} model */
export function originOf(model) {
  return [
    model.merge ? `merge: ${model.merge}` : "",
    model.license === null ? "no license given" : `license ${model.license}`,
    PLACES[model.place] ?? "",
  ].filter(Boolean).join(" · ");
}

/** The type of its weights: "bfloat16", "4-bit". @param {Model} model */
export function typeOf(model) {
  if (model.quantization === null) return model.dtype ?? "";
  return model.quantization.bits === null ? `quantized (${model.quantization.method})`
    : `${model.quantization.bits}-bit`;
}

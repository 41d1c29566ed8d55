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
 * @property {string|null} merge which sum of models it is, where it is a saved merge
 * @property {string|null} error
 */

const PLACES = { workspace: "in this workspace", cache: "in the Hugging Face cache", folder: "a folder" };

/** @param {Model} model */
export function factsOf(model) {
  const quantization = model.quantization;
  const full = model.full_training;
  return [
    model.merge ? `merge: ${model.merge}` : "",
    model.parameters === null ? "" : `${count(model.parameters)} parameters`,
    model.bytes === null ? "" : bytes(model.bytes),
    model.architecture ?? "",
    quantization === null
      ? (model.dtype ?? "")
      : `quantized${quantization.bits === null ? "" : ` to ${quantization.bits} bits`}`,
    model.context_length === null ? "" : `context ${integer(model.context_length)}`,
    full.possible ? "full training possible" : `no full training: ${full.reason ?? "not possible"}`,
    PLACES[model.place] ?? "",
  ].filter(Boolean).join(" · ");
}

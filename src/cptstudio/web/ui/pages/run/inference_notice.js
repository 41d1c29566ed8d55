/** Told before a run starts: what becomes of the models that are loaded for testing. */
import { useInference } from "../../lib/inference.js";
import { bytes } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

export function InferenceNotice() {
  const inference = useInference();
  if (!inference?.running) return null;
  const held = inference.memory_process ?? inference.memory_active;
  return h("p", {}, `Models are loaded for testing${held ? ` (${bytes(held)})` : ""}. If training needs their memory, `
    + "they will be unloaded.");
}

/** Told before a run starts: what becomes of the models that are loaded for testing. */
import { useBench } from "../../lib/bench.js";
import { bytes } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

export function BenchNotice() {
  const bench = useBench();
  if (!bench?.running) return null;
  const held = bench.memory_process ?? bench.memory_active;
  return h("p", {}, `Models for testing are loaded${held ? ` (${bytes(held)})` : ""}. If the training needs their `
    + "memory, they are unloaded.");
}

/** How models are sampled: fields, bounds and usual values, as the server's `cptstudio.sampling` has them. */
import { computed, signal, useEffect } from "./preact.js";
import { useResource } from "./resource.js";
import { readSettings } from "./settings_schema.js";

/** @typedef {import("./settings_schema.js").Setting} Setting */

/** A suite's schema, null until the server has told it. */
export const samplingSchema = signal(/** @type {any} */ (null));

/** @param {unknown} schema @returns {Setting[]} those that are numbers */
const numbers = (schema) => readSettings(schema).filter(({ kind }) => kind === "number" || kind === "integer");

/** The numbers of a text's sampling. */
export const textSampling = computed(() => numbers(samplingSchema.value?.["$defs"]["Sampling"]));

/** What the playground begins with in place of these, for raw text and for chat. */
export const playgroundSampling = computed(() =>
  /** @type {Record<"text" | "chat", Record<string, number>>} */ (samplingSchema.value?.["playground"] ?? {}));

/** The same for a suite, whose usual values differ. */
export const suiteSampling = computed(() => numbers(samplingSchema.value)
  .map((one) => ({ ...one, name: one.name.replace("sampling.", "") })));

/** Have the schema there. @returns {{ready: boolean, error: any, reload: () => Promise<void>}} */
export function useSampling() {
  const { data, error, reload } = useResource("/api/sampling-schema");
  useEffect(() => {
    if (data) samplingSchema.value = data;
  }, [data]);
  return { ready: samplingSchema.value !== null, error, reload };
}

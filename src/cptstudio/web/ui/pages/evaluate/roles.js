/** Which corpora are domain and which are general, by the runs that trained on them. */

import { useResource } from "../../lib/resource.js";

/**
 * @param {readonly string[]} references models as the API names them
 * @returns {(set: string) => "domain" | "general" | null}
 */
export function useRoles(references) {
  const { data } = useResource("/api/runs");
  const wanted = new Set(references.filter((one) => one.includes("@")).map((one) => one.slice(0, one.indexOf("@"))));
  const found = new Map();
  for (const run of data?.runs ?? []) {
    if (!wanted.has(run.id)) continue;
    for (const corpus of run.corpora ?? []) found.set(corpus.name, corpus.role === "domain" ? "domain" : "general");
  }
  return (set) => found.get(set) ?? null;
}

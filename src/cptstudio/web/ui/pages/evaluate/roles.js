/** Which corpora are domain and which are general, by the runs that trained on them. */

import { useResource } from "../../lib/resource.js";

/**
 * @param {readonly string[]} references models as the API names them
 * @returns {{roleOf: (set: string) => "domain" | "general" | null, known: string[]}} known: those corpora,
 *   the domain first
 */
export function useRoles(references) {
  const { data } = useResource("/api/runs");
  const wanted = new Set(references.filter((one) => one.includes("@")).map((one) => one.slice(0, one.indexOf("@"))));
  const found = new Map();
  for (const run of data?.runs ?? []) {
    if (!wanted.has(run.id)) continue;
    for (const corpus of run.corpora ?? []) found.set(corpus.name, corpus.role === "domain" ? "domain" : "general");
  }
  const known = [...found.keys()].sort((one, other) =>
    Number(found.get(one) !== "domain") - Number(found.get(other) !== "domain"));
  return { roleOf: (set) => found.get(set) ?? null, known };
}

/** No corpus at all, where none in the URL means those of the run. */
const NONE = "-";

/**
 * The corpora that the URL names, or those that the chosen runs trained on.
 * @param {string | undefined} text @param {string[]} known
 */
export function setsFromQuery(text, known) {
  return text === undefined ? known : text.split(",").filter((name) => name !== "" && name !== NONE);
}

/** @param {string[]} names */
export const setsToQuery = (names) => names.join(",") || NONE;

/** How tokens are chosen: what the form offers, and its state in the URL. */

import { playgroundSampling, textSampling } from "../../lib/sampling.js";
import { checkedNumber } from "../../lib/typed_number.js";

/** @typedef {Pick<import("../../lib/sampling.js").Setting, "name"|"title"|"help"|"unit"|"initial"|"limits">} Setting */

export const MOST_SEEDS = 8;

/** @type {Setting} */
export const SEEDS = { name: "seeds", title: "Number of seeds", initial: 1, unit: "",
  limits: { whole: true, least: 1, most: MOST_SEEDS },
  help: "Generates a grid: one row per seed, one column per model." };

const RECOMMENDED = { temperature: null, top_p: null, top_k: null, min_p: null, repetition_penalty: null,
  repetition_window: null };

/** @type {readonly {title: string, hint: string, values: Record<string, string | null>}[]} */
export const PRESETS = [
  { title: "Recommended", hint: "Varied, without the loops base models fall into", values: RECOMMENDED },
  { title: "Deterministic", hint: "Always the most likely token",
    values: { ...RECOMMENDED, temperature: "0", top_p: "0", repetition_penalty: "1" } },
  { title: "Creative", hint: "Temperature 1.1, min-p 0.05",
    values: { ...RECOMMENDED, temperature: "1.1", top_p: "0", min_p: "0.05" } },
];

/** What kind of prompt the URL asks for. @param {Record<string, string>} query @returns {"text" | "chat"} */
const kindOf = (query) => (query.mode === "chat" ? "chat" : "text");

/** What a setting is where nothing is given. @param {Setting} setting @param {"text" | "chat"} kind */
export const usualOf = (setting, kind) => playgroundSampling.value[kind]?.[setting.name] ?? setting.initial;

/** The way of sampling that the URL asks for, by its name; "" where it is none of them. @param {Record<string, string>}
 *  query */
export function presetOf(query) {
  const asked = samplingOf(query);
  return PRESETS.find(({ values }) => {
    const meant = samplingOf({ ...query, ...Object.fromEntries(Object.entries(values).map(([name, value]) =>
      [name, value ?? ""])) });
    return Object.keys(values).every((name) => meant[name] === asked[name]);
  })?.title ?? "";
}

/** What is wrong with a setting's text, "" if nothing. @param {Setting} setting @param {string | undefined} text */
export const problemOf = (setting, text) => checkedNumber(text ?? "", setting.limits).problem;

/** @param {Setting} setting @param {Record<string, string>} query @returns {any} */
function valueOf(setting, query) {
  return checkedNumber(query[setting.name] ?? "", setting.limits).number ?? usualOf(setting, kindOf(query));
}

/** Strings that end a text: one a line; \n, \t and \\ are understood. @param {string | undefined} text */
export function stopStrings(text) {
  /** @type {Record<string, string>} */
  const meant = { n: "\n", t: "\t", r: "\r", "\\": "\\" };
  return (text || "").split("\n").filter(Boolean)
    .map((line) => line.replace(/\\([ntr\\])/g, (_, letter) => meant[letter]));
}

/** The other way round, for what is restored. @param {string[]} strings */
export function stopText(strings) {
  return strings
    .map((one) => one.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("\r", "\\r"))
    .join("\n");
}

/** The request's `sampling`. @param {Record<string, string>} query */
export function samplingOf(query) {
  const values = textSampling.peek().map((setting) => [setting.name, valueOf(setting, query)]);
  return { ...Object.fromEntries(values), stop: stopStrings(query.stop) };
}

/** The seeds of a grid; one alone is the sampling's own. @param {Record<string, string>} query @returns {number[]} */
export function seedsOf(query) {
  const first = samplingOf(query)["seed"];
  const many = query.mode === "chat" ? 1 : valueOf(SEEDS, query);
  return Array.from({ length: many }, (_, index) => (first + index) % 2 ** 32);
}

/** Whether everything given can be asked. @param {Record<string, string>} query */
export const samplingIsGood = (query) =>
  [...textSampling.value, SEEDS].every((setting) => problemOf(setting, query[setting.name]) === "");

/**
 * Parameters of the URL for a sampling that was asked before.
 * @param {any} sampling @param {number[]} seeds @param {"text" | "chat"} kind
 */
export function queryOf(sampling, seeds, kind) {
  /** @type {Record<string, string | null>} */
  const query = {};
  for (const setting of textSampling.peek()) {
    const value = sampling?.[setting.name];
    query[setting.name] = value == null || value === usualOf(setting, kind) ? null : String(value);
  }
  if (seeds?.length) query.seed = seeds[0] ? String(seeds[0]) : null;
  query.seeds = seeds?.length > 1 ? String(seeds.length) : null;
  query.stop = stopText(sampling?.stop || []) || null;
  return query;
}

/** A sampling in a few words. @param {any} sampling @param {number=} seeds how many */
export function inWords(sampling, seeds = 1) {
  const way = sampling.temperature ? [
    `temperature ${sampling.temperature}`,
    sampling.top_p > 0 && `top-p ${sampling.top_p}`,
    sampling.top_k > 0 && `top-k ${sampling.top_k}`,
    sampling.min_p > 0 && `min-p ${sampling.min_p}`,
  ] : ["deterministic"];
  return [
    ...way,
    sampling.repetition_penalty !== 1 && `repetition penalty ${sampling.repetition_penalty}`,
    seeds > 1 ? `${seeds} seeds from ${sampling.seed}` : `seed ${sampling.seed}`,
    `max ${sampling.max_tokens} tokens`,
    sampling.stop?.length > 0 && `${sampling.stop.length} stop sequence${sampling.stop.length === 1 ? "" : "s"}`,
    sampling.context_length && `context ${sampling.context_length}`,
  ].filter(Boolean).join(", ");
}

/** How tokens are chosen: what the form offers, and its state in the URL. */

import { readNumber } from "../../lib/typed_number.js";

/**
 * @typedef {object} Setting
 * @property {string} name in the URL and in the request
 * @property {string} title
 * @property {string} hint
 * @property {number | null} usual what holds where nothing is given
 * @property {number} least
 * @property {number} most
 * @property {boolean=} whole
 * @property {string=} unit
 */

/** @type {readonly Setting[]} */
export const SETTINGS = [
  { name: "temperature", title: "Temperature", usual: 0, least: 0, most: 10, hint: "0 always takes the likeliest token. Higher is more varied." },
  { name: "top_p", title: "Top-p", usual: 0, least: 0, most: 1, hint: "Only the likeliest tokens that together have this probability. 0: off." },
  { name: "top_k", title: "Top-k", usual: 0, least: 0, most: 1_000_000, whole: true, hint: "Only the k likeliest tokens. 0: off." },
  { name: "min_p", title: "Min-p", usual: 0, least: 0, most: 0.999, hint: "Only tokens with at least this part of the likeliest one's probability. 0: off." },
  { name: "repetition_penalty", title: "Repetition penalty", usual: 1, least: 0.01, most: 10, hint: "Above 1, tokens that were there lately become less likely. 1: off." },
  { name: "repetition_context", title: "Penalty looks back", unit: "tokens", usual: 20, least: 1, most: 100_000, whole: true, hint: "How far the penalty looks." },
  { name: "max_tokens", title: "Most tokens", usual: 200, least: 1, most: 50_000, whole: true, hint: "Each text ends after so many, if it has not ended before." },
  { name: "context_length", title: "Context length", unit: "tokens", usual: null, least: 8, most: 10_000_000, whole: true, hint: "How far the model may look back. Nothing: as far as the text goes." },
  { name: "seed", title: "Seed", usual: 0, least: 0, most: 2 ** 32 - 1, whole: true, hint: "The same seed gives the same text; all models get the same." },
];

export const MOST_SEEDS = 8;

/** @type {Setting} */
export const SEEDS = { name: "seeds", title: "Seeds at once", usual: 1, least: 1, most: MOST_SEEDS, whole: true, hint: "More than one: a grid, a row for each seed, a column for each model." };

/** @type {readonly {title: string, hint: string, values: Record<string, string | null>}[]} */
export const PRESETS = [
  { title: "Greedy", hint: "always the likeliest token", values: { temperature: null, top_p: null, top_k: null, min_p: null } },
  { title: "Balanced", hint: "temperature 0.7, top-p 0.95", values: { temperature: "0.7", top_p: "0.95", top_k: null, min_p: null } },
  { title: "Varied", hint: "temperature 1, min-p 0.05", values: { temperature: "1", top_p: null, top_k: null, min_p: "0.05" } },
];

/** What is wrong with a setting's text, or null. @param {Setting} setting @param {string | undefined} text */
export function problemOf(setting, text) {
  if (!text?.trim()) {
    return null;
  }
  const { number: value, problem } = readNumber(text, setting);
  if (value === null) {
    return problem;
  }
  return value < setting.least || value > setting.most ? `Give ${setting.least} to ${setting.most.toLocaleString("en")}.` : null;
}

/** @param {Setting} setting @param {Record<string, string>} query @returns {any} */
function valueOf(setting, query) {
  const text = query[setting.name];
  return text?.trim() && problemOf(setting, text) === null ? readNumber(text, setting).number : setting.usual;
}

/** Strings that end a text: one a line; \n, \t and \\ are understood. @param {string | undefined} text */
export function stopStrings(text) {
  /** @type {Record<string, string>} */
  const meant = { n: "\n", t: "\t", r: "\r", "\\": "\\" };
  return (text || "").split("\n").filter(Boolean).slice(0, 16)
    .map((line) => line.replace(/\\([ntr\\])/g, (_, letter) => meant[letter]));
}

/** The other way round, for what is restored. @param {string[]} strings */
export function stopText(strings) {
  return strings.map((one) => one.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("\r", "\\r")).join("\n");
}

/** The request's `sampling`. @param {Record<string, string>} query */
export function samplingOf(query) {
  const values = SETTINGS.map((setting) => [setting.name, valueOf(setting, query)]);
  return { ...Object.fromEntries(values), stop: stopStrings(query.stop) };
}

/** The seeds of a grid; one alone is the sampling's own. @param {Record<string, string>} query @returns {number[]} */
export function seedsOf(query) {
  const first = valueOf(SETTINGS[SETTINGS.length - 1], query);
  const many = query.mode === "chat" ? 1 : valueOf(SEEDS, query);
  return Array.from({ length: many }, (_, index) => (first + index) % 2 ** 32);
}

/** Whether everything given can be asked. @param {Record<string, string>} query */
export const samplingIsGood = (query) => [...SETTINGS, SEEDS].every((setting) => problemOf(setting, query[setting.name]) === null);

/** Parameters of the URL for a sampling that was asked before. @param {any} sampling @param {number[]} seeds */
export function queryOf(sampling, seeds) {
  /** @type {Record<string, string | null>} */
  const query = {};
  for (const { name, usual } of SETTINGS) {
    const value = sampling?.[name];
    query[name] = value == null || value === usual ? null : String(value);
  }
  if (seeds?.length) {
    query.seed = seeds[0] ? String(seeds[0]) : null;
  }
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
  ] : ["greedy"];
  return [
    ...way,
    sampling.repetition_penalty !== 1 && `repetition penalty ${sampling.repetition_penalty}`,
    seeds > 1 ? `${seeds} seeds from ${sampling.seed}` : `seed ${sampling.seed}`,
    `at most ${sampling.max_tokens} tokens`,
    sampling.stop?.length > 0 && `${sampling.stop.length} stop ${sampling.stop.length === 1 ? "string" : "strings"}`,
    sampling.context_length && `context ${sampling.context_length}`,
  ].filter(Boolean).join(", ");
}

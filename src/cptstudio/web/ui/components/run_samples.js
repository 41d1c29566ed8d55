/** What a run wrote to its prompts, its evaluations side by side. */
import { Button, Field, Select } from "./elements.js";
import { TextMatrix } from "./text_matrix.js";
import { integer } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { route, setQuery } from "../lib/router.js";

/** Steps side by side. */
const MOST_STEPS = 4;

/**
 * Steps in order, and the texts of each prompt by step. A resumed run writes a step's samples
 * again: the later ones hold.
 * @param {any[]} samples
 */
export function arranged(samples) {
  const steps = [...new Set(samples.map((one) => one.step))].sort((one, other) => one - other);
  /** @type {Map<number, {prompt: string, at: Map<number, {text: string}>}>} */
  const rows = new Map();
  for (const one of samples) {
    const row = rows.get(one.index) ?? { prompt: one.prompt, at: new Map() };
    row.at.set(one.step, { text: one.completion });
    rows.set(one.index, row);
  }
  return { steps, rows: [...rows.entries()].sort(([one], [other]) => one - other).map(([, row]) => row) };
}

/**
 * The first evaluation and the newest ones, or those from a chosen step on.
 * @param {number[]} steps @param {number} wanted
 */
function shownOf(steps, wanted) {
  if (steps.length <= MOST_STEPS) return steps;
  const at = steps.indexOf(wanted);
  if (at < 0) return [steps[0], ...steps.slice(1 - MOST_STEPS)];
  const from = Math.min(at, steps.length - MOST_STEPS);
  return steps.slice(from, from + MOST_STEPS);
}

/** @param {{samples: any[]}} props with at least one sample */
export function RunSamples({ samples }) {
  const { steps, rows } = arranged(samples);
  const wanted = Number(route.value.query["at"] ?? NaN);
  const shown = shownOf(steps, wanted);
  const last = steps.length - MOST_STEPS;
  const from = steps.indexOf(wanted) < 0 ? -1 : Math.min(steps.indexOf(wanted), last);
  const go = (/** @type {number} */ at) => setQuery({ at: at < 0 || at > last ? null : steps[at] });
  return h("div", { class: "stack" },
    last > 0 && h("nav", { class: "row", "aria-label": "Steps" },
      h(Button, { small: true, disabled: from === 0, onClick: () => go(from < 0 ? last : from - 1) }, "Earlier"),
      h(Field, { label: "Steps", inline: true,
        control: (attributes) => h(Select, { ...attributes, value: from < 0 ? "" : steps[from],
          none: "First and latest", onChoose: (step) => setQuery({ at: step || null }),
          choices: steps.slice(0, last + 1).map((step) => [step, `From ${integer(step)}`]) }) }),
      h(Button, { small: true, disabled: from < 0, onClick: () => go(from + 1) }, "Later"),
      h("span", { class: "hint figures" }, `${shown.length} of ${steps.length} evaluations`)),
    h(TextMatrix, { caption: "Samples by step", columns: shown.map((step) => `Step ${integer(step)}`),
      rows: rows.map((row) => ({ prompt: row.prompt, texts: shown.map((step) => row.at.get(step) ?? null) })) }));
}

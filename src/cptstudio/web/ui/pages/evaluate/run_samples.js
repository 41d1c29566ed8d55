/** What a run wrote to its own prompts at each evaluation, step by step. */

import { Button, Empty, Field, Problem, Select } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { TextMatrix } from "./text_matrix.js";

/** Steps side by side. */
const MOST_STEPS = 4;

/** @param {{run: string}} props */
export function RunSamples({ run }) {
  const { data, error, reload } = useResource(`/api/runs/${encodeURIComponent(run)}/samples`);
  const close = h(Button, { small: true, onClick: () => setQuery({ run: null, from: null }) }, "Back to the suites");
  if (error !== null) return h("div", { class: "stack" }, h(Problem, { error, retry: () => void reload() }),
    h("p", {}, close));
  if (data === null) return h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  const { steps, rows } = arranged(data.samples);
  if (steps.length === 0) {
    return h(Empty, { title: "No samples in this run", actions: close },
      h("p", {}, "A run writes to its prompts at each evaluation when its settings hold prompts: they are on the New "
        + "run page, under evaluation."));
  }
  const wanted = steps.indexOf(Number(route.value.query["from"]));
  const last = Math.max(0, steps.length - MOST_STEPS);
  const from = wanted >= 0 ? Math.min(wanted, last) : last;
  const shown = steps.slice(from, from + MOST_STEPS);
  return h("div", { class: "stack" },
    h("div", { class: "spread" }, h("h2", { class: "break" }, "Samples of ",
      h("a", { href: `/runs/${encodeURIComponent(run)}` }, run), " during training"), close),
    steps.length > MOST_STEPS && h("nav", { class: "row", "aria-label": "Steps" },
      h(Button, { small: true, disabled: from === 0, onClick: () => setQuery({ from: steps[Math.max(0, from - 1)] }) },
        "Earlier"),
      h(Field, { label: "From step", inline: true,
        control: (attributes) => h(Select, { ...attributes, value: steps[from],
          onChoose: (step) => setQuery({ from: step }),
          choices: steps.slice(0, last + 1).map((step) => [step, integer(step)]) }) }),
      h(Button, { small: true, disabled: from >= last, onClick: () => setQuery({ from: steps[from + 1] }) }, "Later"),
      h("span", { class: "hint figures" }, `${shown.length} of ${steps.length} evaluations`)),
    h(TextMatrix, { caption: "Prompts by steps", columns: shown.map((step) => `Step ${integer(step)}`),
      rows: rows.map((row) => ({ prompt: row.prompt, texts: shown.map((step) => row.at.get(step) ?? null) })) }));
}

/**
 * Steps in order, and the texts of each prompt by step. A resumed run writes a step's samples
 * again: the later ones hold.
 * @param {any[]} samples
 */
function arranged(samples) {
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

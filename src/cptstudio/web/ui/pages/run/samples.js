import { Empty, Field, Problem, Select } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";

/** What the model wrote at each evaluation. @param {{run: any, again: any}} props */
export function Samples({ run, again }) {
  const { data, error, reload } = useResource(`/api/runs/${run.id}/samples`, undefined, again);
  if (!data) return error ? h(Problem, { error, retry: reload }) : h("p", { class: "muted" }, "Loading…");
  // A resumed run writes a step's samples again: the later ones hold.
  const latest = new Map(data.samples.map((/** @type {any} */ one) => [`${one.step} ${one.index}`, one]));
  const all = [...latest.values()];
  const steps = [...new Set(all.map((one) => one.step))].sort((a, b) => b - a);
  if (!steps.length) {
    return h(Empty, { title: "No samples" }, h("p", {}, "This run has no prompts to complete at its evaluations, or "
      + "none was made yet. Prompts are part of a new run's settings, under evaluation."));
  }
  const wanted = Number(route.value.query.step);
  const step = steps.includes(wanted) ? wanted : steps[0];
  const shown = all.filter((one) => one.step === step).sort((a, b) => a.index - b.index);
  return h("div", { class: "samples" },
    h(Field, {
      label: "Step", inline: true,
      control: (attributes) => h(Select, { ...attributes, value: step, onChoose: (text) => setQuery({ step: text }),
        choices: steps.map((one) => [one, `${integer(one)}${one === steps[0] ? " (newest)" : ""}`]) }),
    }),
    shown.map((one) => h("article", { class: "sample", key: one.index },
      h("h3", {}, `Prompt ${one.index + 1}`),
      h("pre", {}, h("span", { class: "sample-prompt" }, one.prompt), one.completion))));
}

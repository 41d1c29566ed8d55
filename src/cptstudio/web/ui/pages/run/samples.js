import { Empty, Problem } from "../../components/elements.js";
import { RunSamples } from "../../components/run_samples.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

/** What the model wrote at each evaluation. @param {{run: any, again: any}} props */
export function Samples({ run, again }) {
  const { data, error, reload } = useResource(`/api/runs/${run.id}/samples`, undefined, again);
  if (!data) return error ? h(Problem, { error, retry: reload }) : h("p", { class: "muted" }, "Loading…");
  if (!data.samples.length) {
    const wanted = run.config?.settings?.evaluation;
    const off = wanted && (wanted.samples === false || !wanted.prompts?.length);
    return h(Empty, { title: "No samples" }, h("p", {}, !off && run.state.alive
      ? "The first samples appear with the first evaluation."
      : off
        ? "To see sample outputs during training, turn on Samples under Evaluation when you create a run."
        : "The run ended before its first evaluation."));
  }
  return h(RunSamples, { samples: data.samples });
}

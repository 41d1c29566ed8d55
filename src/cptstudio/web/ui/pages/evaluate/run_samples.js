/** What a run wrote to its own prompts at each evaluation, step by step. */

import { Button, Empty, Problem } from "../../components/elements.js";
import { RunSamples as Samples } from "../../components/run_samples.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { setQuery } from "../../lib/router.js";

/** @param {{run: string}} props */
export function RunSamples({ run }) {
  const { data, error, reload } = useResource(`/api/runs/${encodeURIComponent(run)}/samples`);
  const close = h(Button, { small: true, onClick: () => setQuery({ run: null, at: null }) }, "Back to suites");
  if (error !== null) return h("div", { class: "stack" }, h(Problem, { error, retry: () => void reload() }),
    h("p", {}, close));
  if (data === null) return h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  if (data.samples.length === 0) {
    return h(Empty, { title: "No samples in this run", actions: close },
      h("p", {}, "To see sample outputs during training, turn on Samples under Evaluation when you create a "
        + "run."));
  }
  return h("div", { class: "stack" },
    h("div", { class: "spread" }, h("h2", { class: "break" }, "Samples of ",
      h("a", { href: `/runs/${encodeURIComponent(run)}` }, run), " during training"), close),
    h(Samples, { samples: data.samples }));
}

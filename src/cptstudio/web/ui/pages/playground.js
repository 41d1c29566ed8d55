/** Playground: one prompt, several models side by side. */
import { ModelChoice, modelsFromQuery, modelsToQuery, resolved, useTestingModels } from "../components/model_choice.js";
import { h } from "../lib/preact.js";
import { route, setQuery } from "../lib/router.js";

const MOST_MODELS = 5;

export default function Playground() {
  const { models, error, reload } = useTestingModels();
  const chosen = resolved(models, modelsFromQuery(route.value.query["models"]));
  return h("div", { class: "stack" },
    h("h1", {}, "Playground"),
    h(ModelChoice, { models, error, reload, chosen, most: MOST_MODELS, onChange: (references) => setQuery({ models: modelsToQuery(references) }) }));
}

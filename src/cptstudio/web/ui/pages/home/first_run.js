/** The way of a newcomer: documents, a run, what to look at; the demo, and base models to begin with. */
import { CreateDemo, DEMO_RUN, hasDemo } from "../../components/demo_workspace.js";
import { Button } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { RecommendedModels } from "../../components/recommended_models.js";
import { Fragment, h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

export function FirstRun() {
  const corpora = useResource("/api/corpora");
  const models = useResource("/api/models");
  const names = (corpora.data?.corpora || []).map((/** @type {any} */ corpus) => corpus.name);
  const usable = models.data?.models.filter((/** @type {any} */ model) => model.error === null) ?? null;
  return h(Fragment, {},
    h(Card, { title: "Your first run in three steps", icon: "flag" },
      h("div", { class: "stack" },
        h("ol", { class: "steps" },
          h("li", {}, h("h3", {}, "Add your documents"),
            h("p", { class: "muted" },
              "A folder or files become a corpus: cleaned, without duplicates, with a part held out to measure on. ",
              h("a", { href: "/data?add=1" }, "Add a corpus"))),
          h("li", {}, h("h3", {}, "Choose a model and a length"),
            h("p", { class: "muted" }, "The plan tells time, memory and disk before anything starts. ",
              h("a", { href: "/new" }, "Go to New run"))),
          h("li", {}, h("h3", {}, "Start training and watch the loss"), h("p", { class: "muted" },
            "The run's page shows whether the model learns your domain and what it forgets. Closing the page does not "
              + "stop a run."))),
        corpora.data !== null && h("div", { class: "first-demo" },
          hasDemo(names)
            ? h(Button, { kind: "primary", icon: "play", href: DEMO_RUN }, "Try the demo run")
            : h(CreateDemo, { kind: "primary", made: () => {
                void corpora.reload();
                void models.reload();
              } }),
          h("p", { class: "muted" }, hasDemo(names)
            ? "The demo's small model and two corpora are here, and the form is filled in."
            : "Nothing to download: a small model and two corpora made from this machine's Python. Takes about a "
              + "minute.")))),
    usable !== null && usable.length === 0 && h("section", { class: "stack", "aria-labelledby": "first-models" },
      h("h2", { id: "first-models" }, "Base models to start from"),
      h(RecommendedModels, { arrived: () => void models.reload() })));
}

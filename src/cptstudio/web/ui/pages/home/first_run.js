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
              "Turn a folder or files into a corpus: cleaned, deduplicated, and split for validation. ",
              h("a", { href: "/data?add=1" }, "Add a corpus"))),
          h("li", {}, h("h3", {}, "Choose a model and training length"),
            h("p", { class: "muted" }, "The plan shows time, memory, and disk space before anything starts. ",
              h("a", { href: "/new" }, "Go to New run"))),
          h("li", {}, h("h3", {}, "Start training and watch the loss"), h("p", { class: "muted" },
            "See whether the model learns your domain and what it forgets. Training continues if you close the "
              + "page."))),
        corpora.data !== null && h("div", { class: "first-demo" },
          hasDemo(names)
            ? h(Button, { kind: "primary", icon: "play", href: DEMO_RUN }, "Try the demo run")
            : h(CreateDemo, { kind: "primary", made: () => {
                void corpora.reload();
                void models.reload();
              } }),
          h("p", { class: "muted" }, hasDemo(names)
            ? "The small demo model and two corpora are ready, and the form is filled in."
            : "Nothing to download: a small model, and two corpora made from this machine's Python. Takes about a "
              + "minute.")))),
    usable !== null && usable.length === 0 && h("section", { class: "stack", "aria-labelledby": "first-models" },
      h("h2", { id: "first-models" }, "Recommended base models"),
      h(RecommendedModels, { arrived: () => void models.reload() })));
}

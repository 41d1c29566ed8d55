/** The way of a newcomer: documents, a run, and what to look at. */
import { Button } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

/** What the demo workspace holds: see `cptstudio/demo.py`. */
const DEMO = { model: "demo-base", corpus: "python-source", replay: "python-documentation", length: "200 steps" };

export function FirstRun() {
  const { data } = useResource("/api/corpora");
  const names = (data?.corpora || []).map((/** @type {any} */ corpus) => corpus.name);
  const demo = names.includes(DEMO.corpus) && names.includes(DEMO.replay);
  return h(Card, { title: "Three steps to a first run", icon: "flag" },
    h("div", { class: "stack" },
      h("ol", { class: "steps" },
        h("li", {}, h("h3", {}, "Add your documents"),
          h("p", { class: "muted" },
            "A folder or files become a corpus: cleaned, without duplicates, with a part held out to measure on. ",
            h("a", { href: "/data" }, "Go to Data"))),
        h("li", {}, h("h3", {}, "Choose a model and a length"),
          h("p", { class: "muted" }, "The plan tells time, memory and disk before anything starts. ",
            h("a", { href: "/new" }, "Go to New run"))),
        h("li", {}, h("h3", {}, "Start, and watch both losses"), h("p", { class: "muted" }, "The run's page shows "
          + "whether the model learns your domain and what it forgets of everything else. Closing the page does not "
          + "stop a run."))),
      demo && h("p", { class: "row" },
        h(Button, { kind: "primary", icon: "play", href: `/new?${new URLSearchParams(DEMO)}` }, "Try the demo run"),
        h("span", { class: "muted" },
          "This is the demo workspace: a small model and two corpora are here, and the form is filled in."))));
}

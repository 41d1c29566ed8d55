/** What came of the last runs. */
import { StateBadge } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { Sparkline } from "../../components/sparkline.js";
import { ago, change } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf } from "../../lib/run_words.js";

const MOST = 5;

/** @param {any} run */
const when = (run) => run.ended ?? run.updated ?? run.created ?? 0;

/** What a run brought, as far as it was measured. @param {{run: any}} props */
function Outcome({ run }) {
  if (run.verdict?.text) return h("p", {}, run.verdict.text);
  const domain = domainChange(run);
  const general = generalChange(run);
  const measured = [domain != null && `domain ${change(domain)}`, general != null && `general ${change(general)}`]
    .filter(Boolean);
  return h("p", { class: "muted" }, measured.length ? `${measured.join(", ")} bits per byte` : "Not measured yet");
}

/** @param {{runs: any[]}} props */
export function LastRuns({ runs }) {
  const last = runs.filter((run) => !run.state.alive).sort((a, b) => when(b) - when(a)).slice(0, MOST);
  if (!last.length) return null;
  return h(Card, { title: "Last runs", icon: "runs", flush: true,
    actions: h("a", { href: "/runs" }, `All ${runs.length}`) },
    h("ul", { class: "last-runs" }, last.map((run) => h("li", { key: run.id },
      h("div", { class: "last-run-words" },
        h("div", { class: "row" }, h("a", { class: "last-run-name", href: `/runs/${run.id}` }, nameOf(run)),
          run.kind !== "imported" && h(StateBadge, { state: run.state, queued: run.queue_position }),
          h("span", { class: "hint" }, ago(when(run)))),
        h(Outcome, { run })),
      h(Sparkline, { values: run.sparkline, label: `Course of the loss of ${nameOf(run)}` })))));
}

/** What came of the last runs. */
import { StateBadge } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { Sparkline } from "../../components/sparkline.js";
import { ShortVerdict } from "../../components/verdict.js";
import { ago, change } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { domainChange, generalChange, nameOf } from "../../lib/run_words.js";

const MOST = 5;

/** @param {any} run */
export const lastNews = (run) => run.ended ?? run.updated ?? run.created ?? 0;

/** What a run brought: its verdict where there is one, else what was measured. @param {{run: any}} props */
function Outcome({ run }) {
  if (run.verdict?.parts?.some((/** @type {any} */ part) => part.short)) {
    return h(ShortVerdict, { verdict: run.verdict });
  }
  const domain = domainChange(run);
  const general = generalChange(run);
  const measured = [domain != null && `domain ${change(domain)}`, general != null && `general ${change(general)}`]
    .filter(Boolean);
  return measured.length > 0 ? h("span", { class: "hint" }, `${measured.join(", ")} bits/byte`) : null;
}

/** @param {{run: any}} props */
function LastRun({ run }) {
  const made = [run.model?.name, (run.corpora || []).map((/** @type {any} */ corpus) => corpus.name).join(", ")];
  return h("li", {},
    h("div", { class: "last-run-words" },
      h("div", { class: "last-run-head" },
        h("a", { class: "name-link last-run-name", href: `/runs/${run.id}` }, nameOf(run)),
        run.kind !== "imported" && h(StateBadge, { state: run.state })),
      h("p", { class: "hint break" }, [...made, ago(lastNews(run))].filter(Boolean).join(" · ")),
      h(Outcome, { run })),
    h(Sparkline, { values: run.sparkline, label: `Loss curve of ${nameOf(run)}` }));
}

/** @param {{runs: any[]}} props all runs of the workspace */
export function LastRuns({ runs }) {
  const last = runs.filter((run) => !run.state.alive && run.state.name !== "prepared")
    .sort((a, b) => lastNews(b) - lastNews(a)).slice(0, MOST);
  if (!last.length) return null;
  return h(Card, { title: "Recent runs", icon: "runs", flush: true,
    actions: h("a", { href: "/runs" }, runs.length === 1 ? "All runs" : `All ${runs.length} runs`) },
    h("ul", { class: "last-runs" }, last.map((run) => h(LastRun, { key: run.id, run }))));
}

/** What all evaluations, merges, suites and questions came to: the newest first, of every kind. */

import { Badge, Button, Empty, Problem } from "../../components/elements.js";
import { Card, Toolbar } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { Segmented } from "../../components/segmented.js";
import { get } from "../../lib/api.js";
import { saveJson } from "../../lib/download.js";
import { ago, date } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { EvaluationJobs } from "./evaluation_jobs.js";
import { removeReport, reportsChanged } from "./reports.js";

/** @typedef {{title: string, plural: string, view: string | null, icon: string, jobs: string}} Kind view: shows one */

/** @type {Record<string, Kind>} */
const KINDS = {
  evaluation: { title: "Evaluation", plural: "Evaluations", view: "table", icon: "evaluate",
    jobs: "Running evaluations" },
  merge: { title: "Merge", plural: "Merges", view: "merge", icon: "fork", jobs: "Running merges" },
  suite: { title: "Prompt suite", plural: "Suites", view: "suites", icon: "playground", jobs: "Running suites" },
  questions: { title: "Questions", plural: "Questions", view: "questions", icon: "check",
    jobs: "Running question sets" },
  "chat-again": { title: "Chat again", plural: "Chat again", view: "chat", icon: "playground",
    jobs: "Running chat again" },
  "chat-check": { title: "Chat check", plural: "Chat checks", view: "chat&do=check", icon: "check",
    jobs: "Running chat checks" },
  harness: { title: "lm-eval", plural: "lm-eval", view: null, icon: "file", jobs: "" },
};

/** Where a result is shown. @param {any} one */
const placeOf = (one) => `/evaluate?view=${KINDS[one.kind]?.view}&report=${encodeURIComponent(one.id)}`;

/** @param {{one: any}} props */
function Result({ one }) {
  const kind = KINDS[one.kind];
  const name = one.title || one.id;
  const save = async () => saveJson(await get(`/api/evaluation/reports/${encodeURIComponent(one.id)}`),
    `${one.kind}.${one.id}.json`);
  return h("li", {},
    h("div", { class: "result-name" },
      one.problem ? h("span", { class: "field-problem" }, one.problem)
        : kind?.view ? h("a", { class: "break", href: placeOf(one) }, name) : h("span", { class: "break" }, name)),
    h("div", { class: "result-facts" },
      kind && h(Badge, { icon: kind.icon }, kind.title),
      h("time", { class: "hint", title: date(one.created) }, ago(one.created))),
    h("div", { class: "result-buttons" },
      kind && !kind.view && !one.problem && h(Button, { small: true, icon: "download",
        "aria-label": `Save ${name} as JSON`, onClick: () => void save() }, "JSON"),
      h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Delete ${name}, ${date(one.created)}`,
        onClick: () => void removeReport(one) })));
}

/** @param {{start: any}} props start: the button that begins a new one */
function NoResults({ start }) {
  return h(Empty, { title: "No results yet", icon: "evaluate", ghost: "table", actions: start },
    h("p", {}, "Evaluations appear here: how much the trained model improved on your domain over its "
      + "base, what it forgot, and how certain that is."));
}

/** @param {{start: any}} props */
export function ResultsView({ start }) {
  const { data, error, reload } = useResource("/api/evaluation/reports", undefined, reportsChanged.value);
  const wanted = route.value.query["kind"] ?? "";
  const all = /** @type {any[]} */ (data?.reports ?? []);
  const there = Object.keys(KINDS).filter((kind) => all.some((one) => one.kind === kind));
  const shown = all.filter((one) => !wanted || one.kind === wanted);
  return h("div", { class: "stack" },
    Object.entries(KINDS).filter(([, { jobs }]) => jobs).map(([kind, { jobs }]) => h(EvaluationJobs, { key: kind, kind,
      label: jobs, finished: () => { reportsChanged.value += 1; }, kept: "Finished measurements are kept: run it "
        + "again to "
        + "continue." })),
    error !== null && h(Problem, { error, retry: () => void reload() }),
    data === null && error === null && h(Skeleton, { label: "Loading results…", lines: 5 }),
    data !== null && all.length === 0 && h(NoResults, { start }),
    there.length > 1 && h(Toolbar, { label: "Filters" }, h(Segmented, { label: "Kind", value: wanted,
      choices: [["", "All"], ...there.map((kind) => /** @type {[string, string]} */ ([kind, KINDS[kind].plural]))],
      onChoose: (kind) => setQuery({ kind }) })),
    all.length > 0 && h(Card, { title: `${wanted ? KINDS[wanted]?.plural ?? "Results" : "Results"}`, flush: true },
      h("ul", { class: "result-list", "aria-label": "Results" },
        shown.map((one) => h(Result, { key: one.id, one })))));
}

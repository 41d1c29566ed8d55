/** What came of former work: listed, opened by the URL, deleted. */

import { toastError } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { Menu } from "../../components/menu.js";
import { toastDeleted } from "../../components/undo.js";
import { del } from "../../lib/api.js";
import { saveJson } from "../../lib/download.js";
import { date } from "../../lib/format.js";
import { h, signal } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { navigate, route, setQuery, withQuery } from "../../lib/router.js";
import { EvaluationJobs } from "./evaluation_jobs.js";

/** Counts up when a report came or went. */
export const reportsChanged = signal(0);

/** @param {any} job one that has ended well: its report is opened */
export function openReportOf(job) {
  reportsChanged.value += 1;
  if (job.result?.report) setQuery({ report: job.result.report }, { push: true });
}

/**
 * One kind of work: what is under way, the report that the URL names, the form, former reports.
 *
 * @param {{kind: string, label: string, kept: string, former: string, Result: any, Ask: any,
 *   finished?: (job: any) => void, children?: any}} props
 * Result: draws a report; Ask: the form, unfolded where no report is open; children: stand before the report
 */
export function WorkView({ kind, label, kept, former, Result, Ask, finished = openReportOf, children }) {
  const id = route.value.query["report"];
  const { data: report, error, reload } = useResource(id ? `/api/evaluation/reports/${encodeURIComponent(id)}` : null);
  return h("div", { class: "stack" },
    h(EvaluationJobs, { kind, label, finished, kept }),
    children,
    id && error !== null && h(Problem, { error, retry: () => void reload() }),
    id && report && h(Result, { key: report.id, report }),
    h(Ask, { key: "ask", open: !id }),
    h(ReportList, { kind, title: former }));
}

/**
 * A report's title, what can be done with it, and what it is about.
 *
 * @param {{id: string, report: any, file: string, about: string, onCsv: () => void, children?: any}} props
 * id: of the title; file: how exports begin; children: further buttons
 */
export function ReportHead({ id, report, file, about, onCsv, children }) {
  return h("div", { class: "spread" },
    h("div", {}, h("h2", { id, class: "break" }, report.title),
      h("p", { class: "hint" }, `${date(report.created)} · ${about}`)),
    h("div", { class: "row" },
      children,
      h(Menu, { label: "Export", icon: "download", small: true, items: [
        { title: "Save as CSV", onChoose: onCsv },
        { title: "Save as JSON", onChoose: () => saveJson(report, `${file}.${report.id}.json`) },
      ] }),
      h(Button, { small: true, kind: "quiet", icon: "close", "aria-label": "Close result",
        onClick: () => navigate("/evaluate") })));
}

/** @param {{kind: string, title: string}} props */
function ReportList({ kind, title }) {
  const { data, error, reload } = useResource("/api/evaluation/reports", { kind }, reportsChanged.value);
  const open = route.value.query["report"];
  if (error !== null) return h(Problem, { error, retry: () => void reload() });
  if (data === null || data.reports.length === 0) return null;
  return h("section", { class: "card", "aria-label": title },
    h("h2", {}, title),
    h("ul", { class: "report-list" }, data.reports.map((/** @type {any} */ one) => h("li", { key: one.id },
      one.problem
        ? h("span", { class: "field-problem" }, one.problem)
        : h("a", { class: "name", href: withQuery({ report: one.id }),
          "aria-current": one.id === open ? "true" : undefined }, one.title || one.id),
      h("span", { class: "hint" }, date(one.created)),
      h(Button, { small: true, kind: "quiet", icon: "trash",
        "aria-label": `Delete ${one.title || one.id}, ${date(one.created)}`,
        onClick: () => void removeReport(one) })))));
}

/** Without a question, since it can be undone. @param {any} one */
export async function removeReport(one) {
  try {
    const answer = await del(`/api/evaluation/reports/${encodeURIComponent(one.id)}`, { confirmed: true });
    reportsChanged.value += 1;
    if (route.value.query["report"] === one.id) setQuery({ report: null });
    toastDeleted("Result", answer, { back: () => { reportsChanged.value += 1; } });
  } catch (error) {
    toastError(error);
  }
}

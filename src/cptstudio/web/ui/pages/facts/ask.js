/** Asking models a ledger: the choice, past results, and the one that is open. */

import { Problem } from "../../components/elements.js";
import { useChosenModels } from "../../components/model_choice.js";
import { date } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, withQuery } from "../../lib/router.js";
import { StartJob } from "./jobs.js";
import { FactsResult } from "./result.js";

const MOST_MODELS = 16;

/**
 * Reports of a kind about a ledger, the newest first.
 * @param {string} kind @param {string} about how their titles begin @param {number} again
 */
export function useReports(kind, about, again) {
  const { data } = useResource("/api/evaluation/reports", { kind }, again);
  return /** @type {any[] | null} */ (data?.reports.filter((/** @type {any} */ one) =>
    !one.problem && one.title.startsWith(about)) ?? null);
}

/** @param {{name: string, empty: boolean, again: number}} props */
export function AskLedger({ name, empty, again }) {
  const reports = useReports("facts", `${name}: `, again);
  const open = route.value.query["report"] ?? reports?.[0]?.id ?? null;
  const { data: report, error, reload } = useResource(
    open ? `/api/evaluation/reports/${encodeURIComponent(open)}` : null);
  return h("div", { class: "stack" },
    error !== null && h(Problem, { error, retry: () => void reload() }),
    report && h(FactsResult, { key: report.id, report }),
    h(Ask, { name, empty, open: reports !== null && reports.length === 0 }),
    reports !== null && reports.length > 0 && h("section", { class: "card", "aria-label": "Past results" },
      h("h2", {}, "Past results"),
      h("ul", { class: "report-list" }, reports.map((one) => h("li", { key: one.id },
        h("a", { class: "name", href: withQuery({ report: one.id }),
          "aria-current": one.id === open ? "true" : undefined }, one.title),
        h("span", { class: "hint" }, date(one.created)))))));
}

/** @param {{name: string, empty: boolean, open: boolean}} props */
function Ask({ name, empty, open }) {
  const { chosen, choice } = useChosenModels(MOST_MODELS);
  const [how, setHow] = useState({ open_book: true, said: true, per_byte: false });
  const check = (/** @type {"open_book" | "said" | "per_byte"} */ field, /** @type {string} */ words) =>
    h("label", { class: "check" }, h("input", { type: "checkbox", checked: how[field],
      onChange: () => setHow({ ...how, [field]: !how[field] }) }), words);
  return h("details", { class: "card ask", open },
    h("summary", {}, h("h2", {}, "Ask models")),
    h("div", { class: "stack" },
      choice,
      h("fieldset", { class: "choices" }, h("legend", {}, "How to ask"),
        check("open_book", "Also with the source text in the context: what it could answer if it had just read it"),
        check("said", "Also in the model's own words, where a fact has a question"),
        check("per_byte", "Divide likelihoods by the bytes of each option")),
      h(StartJob, { action: "Ask", path: `/api/facts/${encodeURIComponent(name)}/ask`, body: { models: chosen, ...how },
        missing: empty ? "Add facts first." : chosen.length === 0 ? "Choose a model." : "",
        note: "The first model is the baseline. Kept answers are not asked again." })));
}

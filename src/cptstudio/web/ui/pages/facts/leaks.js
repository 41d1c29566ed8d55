/** Whether a ledger is trained on: what was found in training text. */

import { Badge, Field, Problem, Select } from "../../components/elements.js";
import { Segmented } from "../../components/segmented.js";
import { Table } from "../../components/table.js";
import { date, integer, percent } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { useReports } from "./ask.js";
import { StartJob } from "./jobs.js";
import { LEAKS } from "./words.js";

/** @param {{name: string, again: number}} props */
export function LeaksOf({ name, again }) {
  const reports = useReports("leaks", `${name} in `, again);
  const newest = reports?.[0]?.id ?? null;
  const { data: report, error, reload } = useResource(
    newest ? `/api/evaluation/reports/${encodeURIComponent(newest)}` : null);
  return h("div", { class: "stack" },
    h(Look, { name }),
    error !== null && h(Problem, { error, retry: () => void reload() }),
    report && h(Found, { report }));
}

/** @param {{name: string}} props */
function Look({ name }) {
  const [where, setWhere] = useState("run");
  const [chosen, setChosen] = useState("");
  const { data: runs } = useResource("/api/runs");
  const { data: corpora } = useResource("/api/corpora");
  const names = where === "run" ? (runs?.runs ?? []).map((/** @type {any} */ run) => run.id)
    : (corpora?.corpora ?? []).map((/** @type {any} */ one) => one.name);
  const body = where === "run" ? { run: chosen } : { corpora: [chosen] };
  return h("section", { class: "card stack", "aria-labelledby": "leaks-look" },
    h("h2", { id: "leaks-look" }, "Check training text"),
    h("p", { class: "hint" }, "Questions of this ledger, sentences of held-out facts, and sentences repeated in other "
      + "corpora are looked for in what a run trains on."),
    h(Segmented, { label: "Where to look", value: where, choices: [["run", "A run"], ["corpus", "A corpus"]],
      onChoose: (/** @type {string} */ one) => {
        setWhere(one);
        setChosen("");
      } }),
    h(Field, { label: where === "run" ? "Run" : "Corpus", control: (attributes) => h(Select, { ...attributes,
      value: chosen, none: where === "run" ? "Choose a run" : "Choose a corpus", onChoose: setChosen,
      choices: names.map((/** @type {string} */ one) => [one, one]) }) }),
    h(StartJob, { action: "Check", path: `/api/facts/${encodeURIComponent(name)}/leaks`, body,
      missing: chosen === "" ? `Choose a ${where}.` : "" }));
}

/** @param {{report: any}} props */
function Found({ report }) {
  const { result } = report;
  const clean = result.found.length === 0;
  return h("section", { class: "card stack", "aria-labelledby": "leaks-found" },
    h("div", { class: "spread" },
      h("div", {}, h("h2", { id: "leaks-found", class: "break" }, report.title),
        h("p", { class: "hint" }, `${date(report.created)} · ${integer(result.documents)} training documents · `
          + `${integer(result.wordings)} texts looked for`)),
      clean ? h(Badge, { tone: "good", icon: "check" }, "No leaks found")
        : h(Badge, { tone: "bad", icon: "alert" }, `${integer(result.leaked)} of ${integer(result.facts)} facts`)),
    result.too_short > 0 && h("p", { class: "hint" }, `${integer(result.too_short)} texts have fewer than four words `
      + "and cannot be told."),
    !clean && h(Table, { caption: "Leaks", rows: result.found, stacks: true,
      rowKey: (row) => `${row.fact} ${row.text} ${row.corpus} ${row.document}`, columns: [
        { id: "text", title: "Text of the ledger", header: true, class: "fact-cell", cell: (row) => row.text },
        { id: "kind", title: "What", cell: (row) => LEAKS[row.kind] },
        { id: "where", title: "Found in", class: "break", cell: (row) => `${row.corpus}, ${row.document}` },
        { id: "share", title: "Words", number: true, cell: (row) => percent(row.share) },
        { id: "excerpt", title: "There", class: "fact-cell", cell: (row) => row.excerpt },
      ] }));
}

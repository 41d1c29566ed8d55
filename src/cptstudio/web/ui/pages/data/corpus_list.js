/** All corpora of the workspace. */

import { bytes, date, integer } from "../../lib/format.js";
import { h, useEffect } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route } from "../../lib/router.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { PageHeader } from "../../components/layout.js";
import { Empty, Skeleton } from "../../components/placeholders.js";
import { Table } from "../../components/table.js";
import { AddCorpus } from "./add_corpus.js";
import { CorpusJobs, corpusJobs } from "./corpus_jobs.js";
import { HubDatasetForm } from "./hub_dataset.js";
import { noteJob } from "../../lib/jobs.js";

/**
 * @typedef {{name: string, kind: string, created: number|string|null, documents: {[side: string]: number}|null,
 *   text_bytes: {[side: string]: number}|null, tokens: {tokenizer: string, tokens: {[side: string]: number}}[],
 *   problems: number, problem_files?: number|null, error: string|null}} CorpusSummary
 */

export function CorpusList() {
  const { data, error, reload: load } = useResource("/api/corpora");
  const corpora = /** @type {CorpusSummary[]|null} */ (data?.corpora ?? null);
  const fromHub = route.value.query["add"] === "hub";
  const adding = route.value.query["add"] !== undefined;
  const title = fromHub ? "Add a corpus from the hub" : "Add a corpus";
  useEffect(() => data?.corpora.forEach((/** @type {any} */ corpus) => noteJob(corpus.active_job ?? null)), [data]);
  const building = corpusJobs(null).length > 0;
  return h("div", { class: "stack" },
    h(PageHeader, adding ? { title, back: { href: "/data", title: "Data" } } : { title: "Data" },
      !adding && corpora !== null && corpora.length > 0 && [
        h(Button, { key: "hub", icon: "download", href: "/data?add=hub" }, "From the hub"),
        h(Button, { key: "add", kind: "primary", icon: "plus", href: "/data?add=1" }, "Add a corpus")]),
    error !== null && h(Problem, { error, retry: load }),
    fromHub && corpora !== null && h(HubDatasetForm, { taken: corpora.map((corpus) => corpus.name) }),
    adding && !fromHub && corpora !== null && h(AddCorpus,
      { rebuild: null, taken: corpora.map((corpus) => corpus.name) }),
    !fromHub && h(CorpusJobs, { corpus: null, ended: load }),
    corpora !== null && corpora.length > 0 && !adding
      && h("div", { class: "card card-table" }, h(CorpusTable, { corpora })),
    corpora === null && error === null && h(Skeleton, { label: "Loading corpora…", lines: 4 }),
    corpora !== null && corpora.length === 0 && !adding && !building && h(Empty, { title: "No corpus yet",
        icon: "data", ghost: "table",
        actions: [h(Button, { key: "add", kind: "primary", icon: "plus", href: "/data?add=1" }, "Add a corpus"),
          h(Button, { key: "hub", icon: "download", href: "/data?add=hub" }, "From the hub")] },
      h("p", {}, "A corpus is your documents prepared for training: cleaned, deduplicated, split into training, "
        + "validation, and test sets, and tokenized."),
      h("p", {}, "Choose a folder on this machine or drop files. Your original files don't change.")));
}

/** @param {{corpora: CorpusSummary[]}} props */
function CorpusTable({ corpora }) {
  /** @param {{[side: string]: number}|null} sides */
  const sum = (sides) => Object.values(sides ?? {}).reduce((total, one) => total + one, 0);
  return h(Table, {
    caption: "Corpora in this workspace",
    stacks: true,
    rows: corpora,
    rowKey: (/** @type {CorpusSummary} */ corpus) => corpus.name,
    columns: [
      { id: "name", title: "Corpus", header: true, class: "corpus-name", cell: (/** @type {CorpusSummary} */ corpus) =>
          [h("a", { key: "name", href: `/data/${encodeURIComponent(corpus.name)}` }, corpus.name), " ",
            corpus.kind === "conversations" && h(Badge, { key: "kind", tone: "quiet" }, "Conversations")] },
      { id: "documents", title: "Documents", number: true,
        cell: (/** @type {CorpusSummary} */ corpus) => corpus.error === null ? integer(sum(corpus.documents)) : "" },
      { id: "held-out", title: "Validation and test", number: true, cell: (/** @type {CorpusSummary} */ corpus) =>
          corpus.error === null
            ? integer((corpus.documents?.["validation"] ?? 0) + (corpus.documents?.["test"] ?? 0))
            : "" },
      { id: "bytes", title: "Text", number: true,
        cell: (/** @type {CorpusSummary} */ corpus) => corpus.error === null ? bytes(sum(corpus.text_bytes)) : "" },
      { id: "tokens", title: "Training tokens", number: true, cell: tokensCell },
      { id: "problems", title: "Problems", cell: problemsCell },
      { id: "created", title: "Built", cell: (/** @type {CorpusSummary} */ corpus) => date(asSeconds(corpus.created)) },
    ],
  });
}

/** @param {CorpusSummary} corpus */
function tokensCell(corpus) {
  if (corpus.error !== null) return "";
  if (corpus.tokens.length === 0) return "not tokenized";
  return corpus.tokens.map((one) => h("div", { key: one.tokenizer }, integer(one.tokens["train"])));
}

/** @param {CorpusSummary} corpus */
function problemsCell(corpus) {
  if (corpus.error !== null) return h("span", { class: "field-problem" }, corpus.error);
  if (corpus.problems === 0) return "none";
  return h("a", { href: `/data/${encodeURIComponent(corpus.name)}?tab=problems` },
    corpus.problem_files ? `${integer(corpus.problems)} in ${integer(corpus.problem_files)} `
      + `${corpus.problem_files === 1 ? "file" : "files"}` : integer(corpus.problems));
}

/** Unix seconds of a time that may be given as text. @param {number|string|null} time */
export function asSeconds(time) {
  return typeof time === "string" ? Date.parse(time) / 1000 : time;
}

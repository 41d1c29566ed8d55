/** One corpus: its report, the rows it gives, what was not read and what was dropped. */

import { ApiError, del, post } from "../../lib/api.js";
import { Fragment, h, useEffect, useState, withChecked } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { navigate, route, setQuery } from "../../lib/router.js";
import { toastDeleted } from "../../components/undo.js";
import { Button, Problem, Select } from "../../components/elements.js";
import { confirm, Dialog } from "../../components/dialog.js";
import { PageHeader } from "../../components/layout.js";
import { Tabs } from "../../components/tabs.js";
import { AddCorpus } from "./add_corpus.js";
import { CorpusJobs } from "./corpus_jobs.js";
import { FilesList } from "./files.js";
import { DocumentBrowser } from "./documents.js";
import { LeftAsideList } from "./findings.js";
import { ReportSections } from "./report.js";
import { RowsView } from "./rows.js";
import { noteJob } from "../../lib/jobs.js";

/** @typedef {import("./report.js").CorpusDetail} CorpusDetail */
/** @typedef {{name: string, reference: string, tokenizer: string|null}} ModelChoice */

/** @param {{name: string}} props */
export function CorpusPage({ name }) {
  const [tokenising, setTokenising] = useState(false);
  const path = `/api/corpora/${encodeURIComponent(name)}`;
  const { data, error, reload: load } = useResource(path);
  const corpus = /** @type {CorpusDetail|null} */ (data);
  useEffect(() => noteJob(data?.active_job ?? null), [data]);
  const missing = error instanceof ApiError && error.status === 404;
  const rebuilding = route.value.query["rebuild"] !== undefined;
  const remove = async () => {
    let answer;
    const gone = await confirm({
      title: `Delete the corpus “${name}”?`,
      body: "Deletes its documents and tokens from this workspace. The original files are not touched. Runs trained "
        + "on it keep their results but can't be resumed without it. You can undo this for one minute.",
      confirm: "Delete corpus",
      danger: true,
      action: async () => { answer = await del(path, { confirmed: true }); },
    });
    if (!gone || !answer) return;
    navigate("/data");
    toastDeleted(`Corpus “${name}”`, answer, { back: () => navigate(`/data/${encodeURIComponent(name)}`) });
  };
  return h("div", { class: "stack" },
    h(PageHeader, { title: h("span", { class: "name" }, name), back: { href: "/data", title: "Data" } },
      !missing && h(Fragment, {},
        corpus !== null && h(Button, { kind: "primary", href: `/new?corpus=${encodeURIComponent(name)}` },
          "Train"),
        corpus !== null && corpus.settings.kind !== "conversations"
          && h(Button, { href: `/study?corpus=${encodeURIComponent(name)}` }, "Study texts…"),
        h(Button, { onClick: () => setTokenising(true) }, "Tokenize for a model…"),
        h(Button, { href: `/data/${encodeURIComponent(name)}?rebuild=1` }, "Rebuild…"),
        h(Button, { kind: "danger", icon: "trash", onClick: remove }, "Delete…"))),
    error !== null && h(Problem, { error, retry: missing ? undefined : load }),
    h(CorpusJobs, { corpus: name, ended: load }),
    rebuilding && corpus !== null && h(AddCorpus, { rebuild: name, taken: [], options: corpus.settings,
      before: corpus.given }),
    corpus !== null && !rebuilding && h(CorpusTabs, { corpus, path }),
    tokenising && h(TokeniseDialog, { name, close: () => setTokenising(false) }));
}

/** What a view keeps in the query, which another view does not understand. */
const NO_VIEW = { status: null, search: null, start: null, back: null, document: null, row: null };

/** @param {{corpus: CorpusDetail, path: string}} props */
function CorpusTabs({ corpus, path }) {
  const { report } = corpus;
  const documents = Object.values(report.documents).reduce((sum, one) => sum + one, 0);
  const aside = Object.values(report.left_aside ?? {}).reduce((sum, one) => sum + one, 0);
  const tabs = [
    { id: "report", title: "Report" },
    { id: "documents", title: corpus.settings.kind === "conversations" ? "Conversations" : "Documents",
      count: documents },
    { id: "files", title: "Files", count: report.source_files },
    { id: "rows", title: "Training sequences" },
    { id: "problems", title: "Problems", count: report.problem_files ?? report.problem_count },
    ...(aside > 0 ? [{ id: "aside", title: "Excluded", count: aside }] : []),
  ];
  const wanted = route.value.query["tab"] ?? "report";
  // Dropped documents had a tab of their own.
  useEffect(() => {
    if (wanted === "dropped") setQuery({ tab: "documents", status: "dropped" });
  }, [wanted]);
  const chosen = tabs.some((tab) => tab.id === wanted) ? wanted : "report";
  const version = corpus.fingerprint;
  return h(Tabs, { label: `Views of ${corpus.name}`, tabs, chosen,
    onChoose: (tab) => setQuery({ ...NO_VIEW, tab: tab === "report" ? null : tab }, { push: true }) },
    chosen === "report" && h(ReportSections, { corpus }),
    chosen === "documents" && h(DocumentBrowser, { key: `documents-${version}`, path, counts: report.documents,
      tokenised: corpus.tokenisations.length > 0 }),
    chosen === "files" && h(FilesList, { key: `files-${version}`, path }),
    chosen === "rows" && h(RowsView, { key: version, corpus: corpus.name, documents,
      tokenised: corpus.tokenisations.length > 0 }),
    chosen === "problems" && h(FilesList, { key: `problems-${version}`, path, problems: true }),
    chosen === "aside" && h(LeftAsideList, { key: `aside-${version}`, path }));
}

/** @param {{name: string, close: () => void}} props */
function TokeniseDialog({ name, close }) {
  const { data, error } = useResource("/api/models");
  const models = /** @type {any[]|null} */ (data?.models.filter((/** @type {any} */ one) => one.error === null)
    ?? null);
  const [chosen, setChosen] = useState("");
  const model = chosen || (models?.[0]?.id ?? "");
  const [lossy, setLossy] = useState(false);
  const { busy, error: refusal, run } = useWork();
  const tokenise = () => run(async () => {
    noteJob(await post("/api/corpora", { name, sources: [], model, allow_lossy_tokenizer: lossy }));
    close();
  });
  return h(Dialog, { title: `Tokenize ${name} for a model`, onClose: close, actions: [
      h(Button, { key: "no", onClick: close }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", busy, disabled: model === "", onClick: tokenise }, "Tokenize"),
    ] },
    h("p", {}, "Adds tokens for this model's tokenizer. Documents and existing tokens don't change."),
    models !== null && models.length === 0 && h("p", { class: "notice" },
      "No models on this machine yet. Download one on the Models page."),
    models !== null && models.length > 0 && h("div", { class: "field" },
      h("label", { for: "tokenise-model" }, "Model"),
      h(Select, { id: "tokenise-model", value: model, onChoose: setChosen,
        choices: models.map((one) => [one.id, one.name]) }),
      h("label", {},
        h("input", { type: "checkbox", checked: lossy, onChange: withChecked(setLossy) }),
        " Allow a lossy tokenizer")),
    (refusal ?? error) !== null && h(Problem, { error: refusal ?? error }));
}

/** Prompt suites: the saved ones, putting one to models, and what they wrote. */

import { toastError } from "../../components/announce.js";
import { StartJob } from "../../components/asked_jobs.js";
import { Button, Empty, Problem } from "../../components/elements.js";
import { toastDeleted } from "../../components/undo.js";
import { useChosenModels } from "../../components/model_choice.js";
import { del } from "../../lib/api.js";
import { saveCsv } from "../../lib/download.js";
import { integer, number } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { Command } from "./command.js";
import { ReportHead, WorkView } from "./reports.js";
import { RunSamples } from "./run_samples.js";
import { SuiteForm } from "./suite_form.js";
import { TextMatrix } from "../../components/text_matrix.js";

const MOST_MODELS = 16;

export function SuitesView() {
  const run = route.value.query["run"];
  if (run) return h(RunSamples, { run });
  return h("div", { class: "stack" },
    h(WorkView, { kind: "suite", label: "Running suites", former: "Past results",
      kept: "Finished outputs are kept: run it again to continue.", Result: SuiteResult,
      Ask: Suites }),
    h(SamplesOfRuns, {}));
}

function Suites() {
  const { data, error, reload } = useResource("/api/evaluation/suites");
  const { query } = route.value;
  const suites = /** @type {any[]} */ (data?.suites ?? []);
  const editing = query["edit"];
  const close = () => setQuery({ edit: null });
  const form = editing !== undefined && data !== null && h(SuiteForm, { key: editing,
    suite: suites.find((one) => one.name === editing) ?? null, taken: suites.map((one) => one.name), onClose: close,
    onSaved: (name) => { setQuery({ edit: null, suite: name }); void reload(); } });
  const create = h(Button, { kind: suites.length === 0 ? "primary" : "plain", icon: "plus",
    onClick: () => setQuery({ edit: "+" }) }, "New suite");
  if (error !== null) return h(Problem, { error, retry: () => void reload() });
  if (data === null) return h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  if (suites.length === 0) {
    return h("div", {}, h(Empty, { title: "No prompt suites yet", actions: create },
      h("p", {}, "A suite is a set of prompts with fixed sampling. Run it on the base model and its checkpoints to "
        + "compare their outputs prompt by prompt."),
      h("p", {}, "Start with five to twenty prompts: some from your domain, some general ones that must "
        + "not get worse.")), form);
  }
  const remove = async (/** @type {any} */ suite) => {
    try {
      const answer = await del(`/api/evaluation/suites/${encodeURIComponent(suite.name)}`, { confirmed: true });
      if (query["suite"] === suite.name) setQuery({ suite: null });
      toastDeleted(`Suite “${suite.name}”`, answer, { back: () => void reload() });
    } catch (failure) {
      toastError(failure);
    }
    await reload();
  };
  const chosen = suites.find((one) => one.name === query["suite"]) ?? suites.find((one) => !one.problem) ?? null;
  return h("section", { class: "card stack", "aria-labelledby": "suites-title" },
    h("div", { class: "spread" }, h("h2", { id: "suites-title" }, "Suites"), create),
    h("ul", { class: "choice-list suite-list" }, suites.map((suite) => h("li", { key: suite.name },
      h("label", {}, h("input", { type: "radio", name: "suite", checked: suite === chosen,
        disabled: Boolean(suite.problem), onChange: () => setQuery({ suite: suite.name }) }),
        h("span", { class: "name" }, suite.name)),
      h("span", { class: suite.problem ? "field-problem" : "hint" },
        suite.problem || `${integer(suite.prompts.length)} ${suite.prompts.length === 1 ? "prompt" : "prompts"}, `
          + `${samplingWords(suite.sampling)}`),
      !suite.problem && h(Button, { small: true, "aria-label": `Edit ${suite.name}…`,
        onClick: () => setQuery({ edit: suite.name }) }, "Edit…"),
      h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Delete ${suite.name}`,
        onClick: () => void remove(suite) })))),
    chosen && h(AskSuite, { suite: chosen }),
    form);
}

/** @param {any} sampling */
function samplingWords(sampling) {
  const how = sampling.temperature
    ? `temperature ${number(sampling.temperature)}, seed ${sampling.seed}`
    : "deterministic";
  return `${integer(sampling.max_tokens)} tokens, ${how}`;
}

/** @param {{suite: any}} props */
function AskSuite({ suite }) {
  const { chosen, choice } = useChosenModels(MOST_MODELS, `Run ${suite.name} on`);
  return h("div", { class: "stack" },
    choice,
    h(StartJob, { action: `Run ${suite.name}`, path: `/api/evaluation/suites/${encodeURIComponent(suite.name)}/run`,
      body: { models: chosen }, missing: chosen.length === 0 ? "Choose a model." : "" }),
    chosen.length > 0 && h(Command, { words: ["cpt-studio", "suite", "run", suite.name, ...chosen] }));
}

/** @param {{report: any}} props */
function SuiteResult({ report }) {
  const { result } = report;
  const save = () => saveCsv(["prompt", ...result.models],
    result.rows.map((/** @type {any} */ row) => [row.prompt, ...row.texts.map((/** @type {any} */ one) => one.text)]),
    `suite.${report.id}.csv`);
  return h("section", { class: "stack", "aria-labelledby": "suite-result" },
    h(ReportHead, { id: "suite-result", report, file: "suite", about: samplingWords(result.sampling), onCsv: save }),
    h(TextMatrix, { caption: "Outputs by model", columns: result.models, rows: result.rows }));
}

/** Runs whose own samples can be seen as a matrix. */
function SamplesOfRuns() {
  const { data } = useResource("/api/runs");
  const runs = (data?.runs ?? []).filter((/** @type {any} */ run) => run.step > 0);
  if (runs.length === 0) return null;
  return h("section", { class: "card stack", "aria-labelledby": "samples-title" },
    h("h2", { id: "samples-title" }, "Samples during training"),
    h("p", { class: "hint" },
      "Runs with Samples turned on complete their prompts at every evaluation. Compare them step by step."),
    h("ul", { class: "report-list" }, runs.map((/** @type {any} */ run) => h("li", { key: run.id },
      h("a", { class: "name", href: `/evaluate?view=suites&run=${encodeURIComponent(run.id)}` }, run.id)))));
}

/** New run: model, data, training and review, step by step or on one page; plan and Start always in view. */

import { get } from "../lib/api.js";
import { h, useEffect, useMemo, useRef, useState } from "../lib/preact.js";
import { newRunView } from "../lib/preferences.js";
import { route, setQuery } from "../lib/router.js";
import { announce } from "../components/announce.js";
import { Button, Problem } from "../components/elements.js";
import { PageHeader } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { Segmented } from "../components/segmented.js";
import { Advanced } from "./new_run/advanced.js";
import { DraftNotice } from "./new_run/draft_notice.js";
import { Exchange } from "./new_run/exchange.js";
import { draftOf, NewRunForm } from "./new_run/form.js";
import { goTo, inSteps } from "./new_run/go_to.js";
import { MixtureEditor } from "./new_run/mixture.js";
import { ModelPicker } from "./new_run/model_picker.js";
import { PlanPanel } from "./new_run/plan_panel.js";
import { otherProblems, shownProblems } from "./new_run/problems.js";
import { PresetChoice } from "./new_run/preset_choice.js";
import { RunName } from "./new_run/run_name.js";
import { SettingControl } from "./new_run/setting_control.js";
import { StartBar } from "./new_run/start.js";
import { StepList } from "./new_run/step_list.js";
import { shownStep, stepOfSetting, STEPS } from "./new_run/steps.js";

/** @typedef {import("./new_run/steps.js").StepId} StepId */

/** What each step is for. @type {{[step in StepId]: string}} */
const LEADS = {
  model: "The model to train. Base models work best.",
  data: "What it should learn, and general text that limits forgetting.",
  training: "Choose a preset. Everything else is set automatically; you can change any of it.",
  review: "Check the plan, then start.",
};

/** Basic settings with an editor of their own. */
const OWN_EDITOR = new Set(["model.path", "data.corpora"]);

/** In which order people decide; basic settings that are not named here follow. */
const ORDER = ["length", "method.kind", "optimizer.learning_rate", "data.sequence_length", "batch.size",
  "data.replay_share"];

/** @param {import("../lib/settings_schema.js").Setting} setting */
function rank(setting) {
  const place = ORDER.indexOf(setting.name);
  return place < 0 ? ORDER.length : place;
}

export default function NewRunPage() {
  const { from = null, checkpoint = null, corpus = null, model = null, replay = null, length = null } =
    route.value.query;
  const origin = { from, checkpoint, corpus, model, replay, length };
  const draft = draftOf(origin);
  return h(NewRun, { key: `${draft} ${JSON.stringify(origin)}`, origin, draft });
}

/** @param {{origin: import("./new_run/form.js").Origin, draft: string}} props */
function NewRun({ origin, draft }) {
  const form = useMemo(() => new NewRunForm(origin, draft), []);
  const [corpora, setCorpora] = useState(/** @type {any[]|null} */ (null));
  const [corporaError, setCorporaError] = useState(/** @type {unknown} */ (null));
  const summary = useRef(/** @type {HTMLElement|null} */ (null));
  const loadCorpora = () => get("/api/corpora").then(
    (answer) => {
      setCorpora(answer.corpora);
      setCorporaError(null);
    },
    setCorporaError);
  useEffect(() => {
    void form.load();
    void loadCorpora();
    return () => form.close();
  }, []);
  const steps = inSteps();
  const ready = form.ready.value;
  const step = shownStep(route.value.query["step"], form.values.value);
  useEffect(() => {
    // The step stays while its choice is made, so it is the address's.
    if (ready && steps && route.value.query["step"] !== step) setQuery({ step });
  }, [ready, steps, step]);
  useFocus(form, steps ? step : null);
  const showProblems = () => {
    announce("Fix the problems to start the run.");
    // The summary appears with this very change, so it is focused after it was drawn.
    requestAnimationFrame(() => requestAnimationFrame(() => summary.current?.focus()));
  };
  const settings = form.settings.value ?? [];
  const basic = settings.filter((setting) => setting.basic && !OWN_EDITOR.has(setting.name))
    .sort((one, other) => rank(one) - rank(other));
  const controls = (/** @type {StepId} */ id) => h("div", { class: "setting-grid" },
    basic.filter((setting) => stepOfSetting(setting.name) === id).map((setting) =>
      h(SettingControl, { key: setting.name, form, setting })));
  return h("div", { class: `new-run ${steps ? "new-run-steps" : "new-run-all"}` },
    h(PageHeader, { title: form.fork ? `Fork of ${origin.from}` : "New run", lead: h(Origin, { form }) },
      ready && h(Button, { kind: "quiet", small: true, icon: "undo", onClick: () => form.startOver() },
        origin.from === null ? "Start over" : "Reset all changes"),
      h(Segmented, { label: "Form", small: true, value: steps ? "steps" : "all", choices: VIEWS,
        onChoose: chooseView })),
    form.loadError.value !== null && h(Problem, { error: form.loadError.value, retry: () => form.load() }),
    !ready && form.loadError.value === null && h(Skeleton, { label: "Loading…", kind: "cards" }),
    ready && [
      h(DraftNotice, { key: "draft", form }),
      steps && h(StepList, { key: "steps", form, step }),
      h(ProblemSummary, { key: "problems", form, place: summary }),
      corporaError !== null && h(Problem, { key: "error", error: corporaError, retry: loadCorpora }),
      h("div", { key: "columns", class: "new-run-columns" },
        h("div", { class: "new-run-form" },
          h(Panel, { id: "model", steps, step }, h(ModelPicker, { form })),
          h(Panel, { id: "data", steps, step },
            h(MixtureEditor, { form, corpora, reload: loadCorpora }),
            controls("data")),
          h(Panel, { id: "training", steps, step },
            h(PresetChoice, { form }),
            controls("training"),
            h(Advanced, { form, folded: steps,
              settings: settings.filter((setting) => !setting.basic) }))),
        h("div", { class: "new-run-side" },
          h(Panel, { id: "review", steps, step },
            h("div", { class: "review-card" }, h(RunName, { form }), h(PlanPanel, { form })),
            h("div", { class: "review-card" }, h(Exchange, { form }))))),
      h(StartBar, { key: "start", form, showProblems, step: steps ? step : null }),
    ]);
}

/**
 * The focus goes to the control that was asked for, else to the step that was gone to.
 * @param {import("./new_run/form.js").NewRunForm} form @param {StepId|null} step null where all are shown
 */
function useFocus(form, step) {
  const wanted = form.focusOn.value;
  const before = useRef({ step: /** @type {StepId|null} */ (null), wanted });
  useEffect(() => {
    const moved = before.current.step !== null && step !== null && before.current.step !== step;
    const asked = wanted !== null && wanted !== before.current.wanted;
    before.current = { step, wanted };
    const place = asked ? document.getElementById(wanted.id)
      : moved ? document.getElementById(`step-${step}-title`) : null;
    if (place === null) return;
    if (moved && !asked) scrollTo(0, 0);
    place.focus({ preventScroll: true });
    if (asked) place.scrollIntoView({ block: "center" });
  }, [step, wanted]);
}

/** A step's part of the page. @param {{id: StepId, steps: boolean, step: StepId, children?: any}} props */
function Panel({ id, steps, step, children }) {
  const number = STEPS.findIndex((one) => one.id === id) + 1;
  return h("section", { class: "step-panel", "data-step": id, hidden: steps && step !== id,
    "aria-labelledby": `step-${id}-title` },
    h("h2", { id: `step-${id}-title`, tabIndex: -1 }, h("span", { class: "step-panel-number" }, `${number} `),
      STEPS[number - 1]?.title),
    steps && h("p", { class: "step-lead" }, LEADS[id]),
    children);
}

/** @type {readonly (readonly [string, string])[]} */
const VIEWS = [["steps", "Step by step"], ["all", "Single page"]];

/** @param {string} view */
function chooseView(view) {
  newRunView.value = view === "all" ? "all" : "steps";
  setQuery({ view: null, step: null });
}

/** @param {{form: NewRunForm}} props */
function Origin({ form }) {
  const { from, checkpoint } = form.origin;
  if (from === null) return "Continue pre-training a model on your text.";
  const run = h("a", { href: `/runs/${encodeURIComponent(from)}` }, from);
  return checkpoint === null ? ["Duplicated from ", run, ". Change any setting."]
    : ["Starts from ", run, ` at ${checkpoint}, with a fresh optimizer.`];
}

/** @param {{form: NewRunForm, place: {current: HTMLElement|null}}} props */
function ProblemSummary({ form, place }) {
  const problems = shownProblems(form);
  const others = form.attempted.value ? otherProblems(form) : [];
  if (!form.attempted.value || problems.length + others.length === 0) return null;
  return h("section", { class: "problem-summary", tabIndex: -1, ref: place,
    "aria-labelledby": "problem-summary-title" },
    h("h2", { id: "problem-summary-title" }, "Fix these before starting"),
    h("ul", {},
      problems.map((problem) => h("li", { key: problem.name },
        h("button", { type: "button", class: "link", onClick: () => goTo(form, problem.name) }, problem.title),
        ": ", problem.sentences.join(" "))),
      others.map((sentence) => h("li", { key: sentence }, sentence))));
}

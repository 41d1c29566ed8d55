/** New run: the form, the plan beside it, and Start. */

import { get } from "../lib/api.js";
import { h, useEffect, useMemo, useRef, useState } from "../lib/preact.js";
import { route } from "../lib/router.js";
import { announce } from "../components/announce.js";
import { Button, Problem } from "../components/elements.js";
import { Advanced } from "./new_run/advanced.js";
import { Exchange } from "./new_run/exchange.js";
import { NewRunForm } from "./new_run/form.js";
import { MixtureEditor } from "./new_run/mixture.js";
import { ModelPicker } from "./new_run/model_picker.js";
import { controlId, otherProblems, shownProblems } from "./new_run/problems.js";
import { SettingControl } from "./new_run/setting_control.js";
import { SidePanel } from "./new_run/side_panel.js";
import { StartBar } from "./new_run/start.js";

/** Basic settings with an editor of their own. */
const OWN_EDITOR = new Set(["model.path", "data.corpora"]);

/** In which order people decide; basic settings that are not named here follow. */
const ORDER = ["length", "method.kind", "optimizer.learning_rate", "data.context_length", "batch.rows",
  "data.replay_share"];

/** @param {import("../lib/settings_schema.js").Setting} setting */
function rank(setting) {
  const place = ORDER.indexOf(setting.name);
  return place < 0 ? ORDER.length : place;
}

export default function NewRunPage() {
  const from = route.value.query["from"] ?? null;
  const checkpoint = route.value.query["checkpoint"] ?? null;
  const { corpus = null, model = null, replay = null, length = null } = route.value.query;
  return h(NewRun, { key: `${from}/${checkpoint}/${corpus}/${model}/${replay}/${length}`, from, checkpoint, corpus,
    model, replay, length });
}

/** @param {import("./new_run/form.js").Origin} origin */
function NewRun(origin) {
  const { from } = origin;
  const form = useMemo(() => new NewRunForm(origin), []);
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
  const showProblems = () => {
    announce("The run cannot be started yet.");
    // The summary appears with this very change, so it is focused after it was drawn.
    requestAnimationFrame(() => requestAnimationFrame(() => summary.current?.focus()));
  };
  const settings = form.settings.value ?? [];
  const basic = settings.filter((setting) => setting.basic && !OWN_EDITOR.has(setting.name))
    .sort((one, other) => rank(one) - rank(other));
  const advanced = settings.filter((setting) => !setting.basic);
  return h("div", { class: "new-run stack" },
    h("header", { class: "page-head" },
      h("h1", {}, form.fork ? `Fork of ${from}` : "New run"),
      h(Origin, { form }),
      form.ready.value && h(Button, { small: true, onClick: () => form.startOver() },
        from === null ? "Start over" : "Undo all changes")),
    form.loadError.value !== null && h(Problem, { error: form.loadError.value, retry: () => form.load() }),
    form.ready.value && h("div", { class: "new-run-columns" },
      h("div", { class: "new-run-form" },
        h(ProblemSummary, { form, place: summary }),
        corporaError !== null && h(Problem, { error: corporaError, retry: loadCorpora }),
        h(ModelPicker, { form }),
        h(MixtureEditor, { form, corpora }),
        h("fieldset", { class: "basics" },
          h("legend", {}, "Training"),
          h("div", { class: "setting-grid" },
            basic.map((setting) => h(SettingControl, { key: setting.name, form, setting })))),
        h(Advanced, { form, settings: advanced }),
        h(Exchange, { form })),
      h("div", { class: "new-run-side" }, h(SidePanel, { form }), h(StartBar, { form, showProblems }))));
}

/** @param {{form: NewRunForm}} props */
function Origin({ form }) {
  const { from, checkpoint } = form.origin;
  if (from === null) return null;
  const run = h("a", { href: `/runs/${encodeURIComponent(from)}` }, from);
  if (checkpoint === null) return h("p", { class: "hint" }, "With the settings of ", run,
    "; change what shall differ.");
  return h("p", { class: "hint" }, "Starts from the weights of ", run,
    ` at ${checkpoint}, with fresh optimizer state.`);
}

/** @param {{form: NewRunForm, place: {current: HTMLElement|null}}} props */
function ProblemSummary({ form, place }) {
  const problems = shownProblems(form);
  const others = form.attempted.value ? otherProblems(form) : [];
  if (problems.length + others.length === 0) return null;
  /** @param {string} name */
  const go = (name) => {
    const control = document.getElementById(controlId(name));
    control?.scrollIntoView({ block: "center" });
    control?.focus();
  };
  return h("section", { class: "problem-summary", tabIndex: -1, ref: place,
    "aria-labelledby": "problem-summary-title" },
    h("h2", { id: "problem-summary-title" }, "To be solved before this run can start"),
    h("ul", {},
      problems.map((problem) => h("li", { key: problem.name },
        h("button", { type: "button", class: "link", onClick: () => go(problem.name) }, problem.title),
        ": ", problem.sentences.join(" "))),
      others.map((sentence) => h("li", { key: sentence }, sentence))));
}

/** What study texts are made of, how, and by whom; then the plan, a try, and the writing. */

import { announce } from "../../components/announce.js";
import { confirm } from "../../components/dialog.js";
import { Button, Field, Problem, Select } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { Empty } from "../../components/placeholders.js";
import { NumberField } from "../../components/number_field.js";
import { JobProgress } from "../../components/progress.js";
import { post } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { noteJob, useJob } from "../../lib/jobs.js";
import { nameProblem } from "../../lib/names.js";
import { h, useState, withChecked, withValue } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { navigate, route } from "../../lib/router.js";
import { readSettings } from "../../lib/settings_schema.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { costWords, PlanView } from "./plan_view.js";
import { Examples } from "./examples.js";
import { WriterChoice, writerProblem } from "./writer_choice.js";

/** @typedef {{name: string, title: string, help: string, by_rules: boolean}} Strategy */
/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {import("./writer_choice.js").Writer} Writer */

const TRIED = 3;
/** Settings that are chosen elsewhere on the form. */
const ELSEWHERE = ["strategies", "wordings", "unknown_ledger", "unknown_model"];
const OF_ENDPOINTS = ["parallel", "max_cost"];
const OF_MODELS = ["max_tokens", "temperature", "top_p"];

/** @param {{strategies: readonly Strategy[], studies: readonly any[]}} props */
export function StudyForm({ strategies, studies }) {
  const { data: known, error } = useResource("/api/corpora");
  const { data: schema } = useResource("/api/study-schema");
  const corpora = known?.corpora.filter((/** @type {any} */ one) => one.kind !== "conversations"
    && !studies.some((study) => study.name === one.name)) ?? null;
  if (error !== null) return h(Problem, { error });
  if (corpora === null || schema === null) return null;
  if (corpora.length === 0) {
    return h(Empty, { title: "No corpus to write from", icon: "data", ghost: "text",
      actions: h(Button, { kind: "primary", href: "/data" }, "Open Data") },
    "Build a corpus of your documents first. Study texts are written from its training documents.");
  }
  return h(Form, { strategies, studies, settings: readSettings(schema), corpora:
    corpora.map((/** @type {any} */ one) => one.name) });
}

/** @param {{strategies: readonly Strategy[], studies: readonly any[], settings: Setting[], corpora: string[]}} props */
function Form({ strategies, studies, settings, corpora }) {
  const wanted = route.value.query["corpus"];
  const [corpus, setCorpus] = useState(wanted !== undefined && corpora.includes(wanted) ? wanted : corpora[0] ?? "");
  const [typed, setName] = useState(/** @type {string|null} */ (null));
  const name = typed ?? `${corpus.slice(0, 58)}-study`;
  const [writer, setWriter] = useState(/** @type {Writer} */ ({ kind: "templates", model: null, endpoint: null }));
  const [chosen, setChosen] = useState(/** @type {string[]} */ (["paraphrase", "questions"]));
  const [texts, setTexts] = useState(/** @type {{[name: string]: string}} */ ({}));
  const [others, setOthers] = useState(/** @type {{[name: string]: any}} */ ({}));
  const [job, setJob] = useState(/** @type {any} */ (null));
  const [plan, setPlan] = useState(/** @type {{of: string, found: any}|null} */ (null));
  const [planned, setPlanned] = useState("");
  const [tried, setTried] = useState(/** @type {any} */ (null));
  const { busy, error, run } = useWork();
  const byRules = writer.kind === "templates";
  const able = strategies.filter((one) => !byRules || one.by_rules);
  const names = able.map((one) => one.name).filter((one) => chosen.includes(one));
  const numbers = settings.filter(({ kind }) => kind === "integer" || kind === "number");
  const wrong = numbers.some((one) => checkedNumber(texts[one.name] ?? "", one.limits).problem !== "");
  const values = Object.fromEntries(numbers.flatMap((one) => {
    const { number } = checkedNumber(texts[one.name] ?? "", one.limits);
    return number === null ? [] : [[one.name, number]];
  }));
  const body = { name, corpus, writer: writer.kind === "templates" ? { kind: "templates" } : writer,
    settings: { strategies: names, ...values, ...others } };
  const of = JSON.stringify(body);
  const missing = [
    nameProblem(name, "corpus"),
    names.length === 0 ? "Choose at least one strategy." : "",
    writerProblem(writer),
    wrong ? "Fix the numbers above." : "",
  ].find((one) => one !== "") ?? "";
  const followed = useJob(job, (ended) => {
    announce(`${ended.title}: ${ended.state}.`);
    if (ended.state !== "done") return;
    if (ended.kind === "study-plan") setPlan({ of: planned, found: ended.result });
    else if (ended.result.corpus === null) {
      setTried(ended.result);
      // What is left, and how long it takes, is known better now.
      void run(async () => setJob(await post("/api/study/plan", body)));
    }
    else navigate(`/study/${encodeURIComponent(ended.about)}`);
  });
  const active = followed !== null && (followed.state === "waiting" || followed.state === "running");
  const current = plan !== null && plan.of === of ? plan.found : null;
  const order = (/** @type {string} */ path, /** @type {object} */ more) => run(async () => {
    setTried(null);
    setPlanned(of);
    const begun = await post(path, { ...body, ...more });
    if (path === "/api/study") noteJob(begun);
    setJob(begun);
  });
  const write = async (/** @type {number|null} */ most) => {
    const host = current?.sent_to ?? null;
    if (host !== null) {
      const count = most ?? current.texts - current.done;
      const agreed = await confirm({ title: `Send passages to ${host}?`, confirm: `Send to ${host}`,
        body: `Passages of the corpus “${corpus}” leave this machine: ${integer(count)} requests to `
          + `${host}. ${most === null ? costWords(current) : ""}` });
      if (!agreed) return;
    }
    await order("/api/study", { most, sent_to: host });
  };
  const setText = (/** @type {string} */ key) => (/** @type {string} */ text) => setTexts({ ...texts, [key]: text });
  return h("div", { class: "stack" },
    h(Card, { title: "Write study texts", icon: "edit" }, h("div", { class: "stack" },
      h("div", { class: "setting-grid" },
        h(Field, { label: "Corpus", hint: "Only its training documents are read.", control: (attributes) =>
          h(Select, { ...attributes, value: corpus, choices: corpora.map((one) => [one, one]),
            onChoose: setCorpus }) }),
        h(Field, { label: "Name of the new corpus",
          problems: [nameProblem(name, "corpus")].filter((one) => one !== ""),
          hint: studies.some((one) => one.name === name) ? "Goes on with these texts." : undefined,
          control: (attributes) => h("input", { ...attributes, type: "text", autocomplete: "off", spellcheck: false,
            maxLength: 64, value: name, onInput: withValue(setName) }) }),
        numbers.filter((one) => one.name === "wordings").map((one) =>
          h(Numeric, { key: one.name, setting: one, text: texts[one.name] ?? "", onText: setText(one.name) }))),
      h(WriterChoice, { writer, change: setWriter }),
      h(Strategies, { strategies, able, chosen, change: setChosen }),
      h("details", { class: "study-more" }, h("summary", {}, "More settings"),
        h("div", { class: "setting-grid" },
          settings.filter((one) => isOffered(one, writer)).map((one) => (one.kind === "boolean" || one.kind === "choice"
            ? h(Other, { key: one.name, setting: one, value: others[one.name] ?? one.initial,
                change: (/** @type {any} */ value) => setOthers({ ...others, [one.name]: value }) })
            : h(Numeric, { key: one.name, setting: one, text: texts[one.name] ?? "", onText: setText(one.name) }))))),
      missing !== "" && h("p", { class: "notice" }, missing),
      error !== null && h(Problem, { error }),
      h("div", { class: "form-actions" },
        h(Button, { kind: current === null ? "primary" : "plain", busy, disabled: missing !== "" || active,
          onClick: () => order("/api/study/plan", {}) }, "Plan"),
        h(Button, { busy, disabled: missing !== "" || active || current === null, onClick: () => write(TRIED) },
          `Try ${TRIED} texts`),
        h(Button, { kind: current === null ? "plain" : "primary", busy,
          disabled: missing !== "" || active || current === null, onClick: () => write(null) },
        current === null ? "Write the texts" : `Write ${integer(current.texts - current.done)} texts`)),
      current === null && h("p", { class: "hint" }, "Plan first: it tells texts, tokens, time and cost. Nothing is "
        + "sent or written."))),
    followed !== null && (active || followed.state === "failed" || followed.state === "cancelled")
      && h(JobProgress, { job: followed }),
    current !== null && h(PlanView, { plan: current }),
    tried !== null && h(Examples, { report: tried, title: `The first ${TRIED} texts` }));
}

/** @param {Setting} setting @param {Writer} writer */
function isOffered({ name }, writer) {
  if (ELSEWHERE.includes(name)) return false;
  if (OF_ENDPOINTS.includes(name)) return writer.kind === "endpoint";
  return !OF_MODELS.includes(name) || writer.kind !== "templates";
}

/** @param {{setting: Setting, text: string, onText: (text: string) => void}} props */
function Numeric({ setting, text, onText }) {
  return h(NumberField, { label: setting.title, hint: setting.help, unit: setting.unit || undefined, text,
    initial: setting.automatic ? "" : String(setting.initial), limits: setting.limits, onText });
}

/** @param {{setting: Setting, value: any, change: (value: any) => void}} props */
function Other({ setting, value, change }) {
  const id = `study-${setting.name}`;
  if (setting.kind === "choice") {
    return h(Field, { label: setting.title, hint: setting.help, control: (attributes) => h(Select, { ...attributes,
      value, choices: setting.choices.map((one) => [one, one === "drop" ? "Drop them" : "Keep and count them"]),
      onChoose: change }) });
  }
  return h("div", { class: "setting setting-check" },
    h("div", { class: "setting-head" },
      h("input", { id, type: "checkbox", checked: value, "aria-describedby": `${id}-help`,
        onChange: withChecked(change) }),
      h("label", { for: id, class: "setting-label" }, setting.title)),
    h("p", { id: `${id}-help`, class: "hint" }, setting.help));
}

/**
 * @param {{strategies: readonly Strategy[], able: readonly Strategy[], chosen: string[],
 *   change: (chosen: string[]) => void}} props able: those that the writer can write
 */
function Strategies({ strategies, able, chosen, change }) {
  return h("fieldset", { class: "study-strategies" },
    h("legend", {}, "Strategies"),
    strategies.map((one) => {
      const id = `strategy-${one.name}`;
      const can = able.includes(one);
      return h("div", { key: one.name, class: "setting-check" },
        h("div", { class: "setting-head" },
          h("input", { id, type: "checkbox", disabled: !can, checked: can && chosen.includes(one.name),
            "aria-describedby": `${id}-help`, onChange: withChecked((on) =>
              change(on ? [...chosen, one.name] : chosen.filter((name) => name !== one.name))) }),
          h("label", { for: id, class: "setting-label" }, one.title)),
        h("p", { id: `${id}-help`, class: "hint" }, can ? one.help : "Takes a model: templates can't write this."));
    }));
}

/** Creating and changing a prompt suite. */

import { announce } from "../../components/announce.js";
import { Button } from "../../components/button.js";
import { Dialog } from "../../components/dialog.js";
import { Field } from "../../components/field.js";
import { NumberField } from "../../components/number_field.js";
import { Problem } from "../../components/problem.js";
import { ApiError, put } from "../../lib/api.js";
import { nameProblem } from "../../lib/names.js";
import { h, useId, useState } from "../../lib/preact.js";
import { checkedNumber } from "../../lib/typed_number.js";

/** How the next token is chosen: what a suite usually needs, then the rest. The defaults are greedy. */
const SAMPLING = [
  { name: "max_tokens", label: "Most tokens", initial: 64, whole: true, least: 1, most: 100_000, basic: true, hint: "Generation stops after this many tokens." },
  { name: "temperature", label: "Temperature", initial: 0, whole: false, least: 0, most: 10, basic: true, hint: "0 always takes the likeliest token." },
  { name: "seed", label: "Seed", initial: 0, whole: true, least: 0, most: 2 ** 32 - 1, basic: true, hint: "Same seed, same text." },
  { name: "top_p", label: "Top-p", initial: 0, whole: false, least: 0, most: 1, basic: false, hint: "Keeps the smallest set of tokens with this total probability; 0: off." },
  { name: "top_k", label: "Top-k", initial: 0, whole: true, least: 0, most: 1_000_000, basic: false, hint: "Only the k likeliest; 0: off." },
  { name: "min_p", label: "Min-p", initial: 0, whole: false, least: 0, most: 0.999, basic: false, hint: "Drops tokens below this fraction of the top token's probability; 0: off." },
  { name: "repetition_penalty", label: "Repetition penalty", initial: 1, whole: false, least: 0.01, most: 10, basic: false, hint: "Above 1 repeats less; 1: off." },
];

/**
 * @param {{suite: any, taken: string[], onClose: () => void, onSaved: (name: string) => void}} props
 * suite: the one to change, or null for a new one; taken: names that are in use
 */
export function SuiteForm({ suite, taken, onClose, onSaved }) {
  const [name, setName] = useState(suite?.name ?? "");
  const [prompts, setPrompts] = useState(/** @type {string[]} */ (suite?.prompts?.length ? suite.prompts : [""]));
  const [separate, setSeparate] = useState(prompts.some((prompt) => prompt.includes("\n")));
  const [sampling] = useState(/** @type {Record<string, any>} */ (suite?.sampling ?? {}));
  const [typed, setTyped] = useState(/** @type {Record<string, string>} */ (
    Object.fromEntries(SAMPLING.filter((one) => sampling[one.name] != null).map((one) => [one.name, String(sampling[one.name])]))));
  const [problems, setProblems] = useState(/** @type {Record<string, string>} */ ({}));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const save = async () => {
    const kept = prompts.filter((prompt) => prompt.trim() !== "");
    const found = problemsOf(name, suite === null ? taken : [], kept);
    const amounts = SAMPLING.map((one) => ({ one, read: checkedNumber(typed[one.name] ?? "", one) }));
    for (const { one, read } of amounts) if (read.problem !== "") found[one.name] = read.problem;
    setProblems(found);
    if (Object.keys(found).length > 0) return;
    setBusy(true);
    setError(null);
    try {
      const given = Object.fromEntries(amounts.map(({ one, read }) => [one.name, read.number ?? one.initial]));
      await put(`/api/testing/suites/${encodeURIComponent(name)}`, { prompts: kept, sampling: { ...sampling, ...given } });
      announce(`The suite ${name} is saved.`);
      onSaved(name);
    } catch (failure) {
      setError(failure instanceof ApiError ? failure : new Error(String(failure)));
      setBusy(false);
    }
  };
  return h(Dialog, { title: suite === null ? "New prompt suite" : `Change ${suite.name}`, wide: true, onClose,
    actions: [h(Button, { key: "no", onClick: onClose }, "Cancel"), h(Button, { key: "yes", kind: "primary", busy, onClick: () => void save() }, "Save the suite")] },
  h("div", { class: "stack" },
    suite === null && h(Field, { label: "Name", hint: "Letters, digits, dots, underscores and hyphens.", problems: problems["name"] ? [problems["name"]] : [],
      control: (attributes) => h("input", { ...attributes, type: "text", maxLength: 64, autocomplete: "off", spellcheck: false, value: name, onInput: (/** @type {any} */ event) => setName(event.target.value) }) }),
    h(Prompts, { prompts, separate, problem: problems["prompts"] ?? "", onChange: setPrompts, onSeparate: setSeparate }),
    h("fieldset", { class: "choices" }, h("legend", {}, "How texts are written"),
      h("div", { class: "amounts" }, SAMPLING.filter((one) => one.basic).map((one) => h(Amount, { key: one.name, setting: one, typed, onChange: setTyped }))),
      h("details", { class: "advanced" }, h("summary", {}, "More settings"),
        h("div", { class: "amounts" }, SAMPLING.filter((one) => !one.basic).map((one) => h(Amount, { key: one.name, setting: one, typed, onChange: setTyped }))))),
    error !== null && h(Problem, { error })));
}

/** @param {{setting: typeof SAMPLING[number], typed: Record<string, string>, onChange: (typed: Record<string, string>) => void}} props */
function Amount({ setting, typed, onChange }) {
  return h(NumberField, { label: setting.label, hint: setting.hint, limits: setting, initial: String(setting.initial),
    text: typed[setting.name] ?? "", onText: (text) => onChange({ ...typed, [setting.name]: text }) });
}

/** @param {{prompts: string[], separate: boolean, problem: string, onChange: (prompts: string[]) => void, onSeparate: (separate: boolean) => void}} props */
function Prompts({ prompts, separate, problem, onChange, onSeparate }) {
  const id = useId();
  const several = prompts.some((prompt) => prompt.includes("\n"));
  const change = (/** @type {number} */ at, /** @type {string} */ text) => onChange(prompts.map((prompt, index) => (index === at ? text : prompt)));
  return h("fieldset", { class: "choices", "aria-describedby": problem ? id : undefined },
    h("legend", {}, "Prompts"),
    h("label", { class: "check" }, h("input", { type: "checkbox", checked: separate, disabled: separate && several, onChange: () => onSeparate(!separate) }), "A box for each prompt, which may then have several lines"),
    separate
      ? h("div", { class: "stack" }, prompts.map((prompt, at) => h("div", { class: "prompt-box", key: at },
          h("textarea", { rows: 3, "aria-label": `Prompt ${at + 1}`, value: prompt, spellcheck: false, onInput: (/** @type {any} */ event) => change(at, event.target.value) }),
          h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Remove prompt ${at + 1}`, disabled: prompts.length === 1, onClick: () => onChange(prompts.filter((_, index) => index !== at)) }))),
        h("p", {}, h(Button, { small: true, icon: "plus", onClick: () => onChange([...prompts, ""]) }, "Add a prompt")))
      : h("textarea", { rows: 6, "aria-label": "Prompts, one a line", placeholder: "One prompt a line", value: prompts.join("\n"), spellcheck: false, onInput: (/** @type {any} */ event) => onChange(event.target.value.split("\n")) }),
    problem && h("p", { class: "field-problem", id }, problem));
}

/** @param {string} name @param {string[]} taken @param {string[]} prompts */
function problemsOf(name, taken, prompts) {
  /** @type {Record<string, string>} */
  const found = {};
  const wrong = nameProblem(name, "suite");
  if (wrong !== "") found["name"] = wrong;
  else if (taken.includes(name)) found["name"] = `There is a suite named ${name} already: choose another name, or change that one.`;
  if (prompts.length === 0) found["prompts"] = "Write at least one prompt.";
  return found;
}

/** Creating and changing a prompt suite. */

import { announce } from "../../components/announce.js";
import { Button, Field, Problem } from "../../components/elements.js";
import { NumberField } from "../../components/number_field.js";
import { Dialog } from "../../components/dialog.js";
import { put } from "../../lib/api.js";
import { nameProblem } from "../../lib/names.js";
import { h, useId, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { suiteSampling, useSampling } from "../../lib/sampling.js";
import { checkedNumber } from "../../lib/typed_number.js";

/**
 * @param {{suite: any, taken: string[], onClose: () => void, onSaved: (name: string) => void}} props
 * suite: the one to change, or null for a new one; taken: names that are in use
 */
export function SuiteForm({ suite, taken, onClose, onSaved }) {
  const { ready, error: missing, reload } = useSampling();
  const [name, setName] = useState(suite?.name ?? "");
  const [prompts, setPrompts] = useState(/** @type {string[]} */ (suite?.prompts?.length ? suite.prompts : [""]));
  const [separate, setSeparate] = useState(prompts.some((prompt) => prompt.includes("\n")));
  const [sampling] = useState(/** @type {Record<string, any>} */ (suite?.sampling ?? {}));
  const [typed, setTyped] = useState(/** @type {Record<string, string>} */ (Object.fromEntries(
    Object.entries(sampling).flatMap(([key, value]) => (typeof value === "number" ? [[key, String(value)]] : [])))));
  const [problems, setProblems] = useState(/** @type {Record<string, string>} */ ({}));
  const { busy, error, run } = useWork();
  const save = () => {
    const kept = prompts.filter((prompt) => prompt.trim() !== "");
    const found = problemsOf(name, suite === null ? taken : [], kept);
    const amounts = suiteSampling.value.map((one) => ({ one, read: checkedNumber(typed[one.name] ?? "", one.limits) }));
    for (const { one, read } of amounts) if (read.problem !== "") found[one.name] = read.problem;
    setProblems(found);
    if (Object.keys(found).length > 0) return;
    const given = Object.fromEntries(amounts.map(({ one, read }) => [one.name, read.number ?? one.initial]));
    void run(async () => {
      await put(`/api/evaluation/suites/${encodeURIComponent(name)}`,
        { prompts: kept, sampling: { ...sampling, ...given } });
      announce(`Suite “${name}” saved.`);
      onSaved(name);
    });
  };
  /** @param {boolean} basic */
  const amounts = (basic) => h("div", { class: "amounts" },
    suiteSampling.value.filter((one) => one.basic === basic).map((one) => h(Amount, { key: one.name, setting: one,
      text: typed[one.name] ?? "", onText: (text) => setTyped({ ...typed, [one.name]: text }) })));
  return h(Dialog, { title: suite === null ? "New prompt suite" : `Edit ${suite.name}`, wide: true, onClose,
    actions: [h(Button, { key: "no", onClick: onClose }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", busy, disabled: !ready, onClick: () => void save() },
        "Save suite")] },
  h("div", { class: "stack" },
    suite === null && h(Field, { label: "Name", hint: "Letters, digits, dots, underscores, and hyphens.",
      problems: problems["name"] ? [problems["name"]] : [],
      control: (attributes) => h("input", { ...attributes, type: "text", maxLength: 64, autocomplete: "off",
        spellcheck: false, value: name, onInput: withValue(setName) }) }),
    h(Prompts, { prompts, separate, problem: problems["prompts"] ?? "", onChange: setPrompts,
      onSeparate: setSeparate }),
    missing !== null && h(Problem, { error: missing, retry: reload }),
    ready && h("fieldset", { class: "choices" }, h("legend", {}, "Sampling"),
      amounts(true),
      h("details", { class: "advanced" }, h("summary", {}, "More settings"), amounts(false))),
    error !== null && h(Problem, { error })));
}

/** @param {{setting: import("../../lib/sampling.js").Setting, text: string, onText: (text: string) => void}} props */
function Amount({ setting, text, onText }) {
  const { title, help, unit, initial, limits } = setting;
  return h(NumberField, { label: title, hint: help, unit, limits, text, onText,
    initial: initial === null ? "" : String(initial), placeholder: initial === null ? "all" : undefined });
}

/**
 * @param {{prompts: string[], separate: boolean, problem: string, onChange: (prompts: string[]) => void,
 *   onSeparate: (separate: boolean) => void}} props
 */
function Prompts({ prompts, separate, problem, onChange, onSeparate }) {
  const id = useId();
  const several = prompts.some((prompt) => prompt.includes("\n"));
  const change = (/** @type {number} */ at, /** @type {string} */ text) =>
    onChange(prompts.map((prompt, index) => (index === at ? text : prompt)));
  return h("fieldset", { class: "choices", "aria-describedby": problem ? id : undefined },
    h("legend", {}, "Prompts"),
    h("label", { class: "check" },
      h("input", { type: "checkbox", checked: separate, disabled: separate && several,
        onChange: () => onSeparate(!separate) }), "Multi-line prompts"),
    separate
      ? h("div", { class: "stack" }, prompts.map((prompt, at) => h("div", { class: "prompt-box", key: at },
          h("textarea", { rows: 3, "aria-label": `Prompt ${at + 1}`, value: prompt, spellcheck: false,
            onInput: withValue((text) => change(at, text)) }),
          h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Remove prompt ${at + 1}`,
            disabled: prompts.length === 1, onClick: () => onChange(prompts.filter((_, index) => index !== at)) }))),
        h("p", {}, h(Button, { small: true, icon: "plus", onClick: () => onChange([...prompts, ""]) }, "Add prompt")))
      : h("textarea", { rows: 6, "aria-label": "Prompts, one per line", placeholder: "One prompt per line",
          value: prompts.join("\n"), spellcheck: false,
          onInput: withValue((text) => onChange(text.split("\n"))) }),
    problem && h("p", { class: "field-problem", id }, problem));
}

/** @param {string} name @param {string[]} taken @param {string[]} prompts */
function problemsOf(name, taken, prompts) {
  /** @type {Record<string, string>} */
  const found = {};
  const wrong = nameProblem(name, "suite");
  if (wrong !== "") found["name"] = wrong;
  else if (taken.includes(name)) {
    found["name"] = `A suite named “${name}” already exists. Choose another name, or edit that one.`;
  }
  if (prompts.length === 0) found["prompts"] = "Enter at least one prompt.";
  return found;
}

/** The control of one setting: label, unit, input, help, problems and the way back. */

import { h, useEffect, useState, withChecked, withValue } from "../../lib/preact.js";
import { Button, Select } from "../../components/elements.js";
import { Help } from "../../components/help.js";
import { controlId, problemsOf } from "./problems.js";
import { readNumber, shown, typedNumber } from "../../lib/typed_number.js";
import { same, splitLength } from "./tree.js";

/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/**
 * What an input needs to be described and marked.
 * @typedef {{id: string, disabled: boolean, "aria-describedby": string, "aria-invalid": "true"|undefined}} Marks
 */

/** @param {{form: NewRunForm, setting: Setting}} props */
export function SettingControl({ form, setting }) {
  const id = controlId(setting.name);
  const problems = problemsOf(form, setting.name);
  const fixed = form.fixed(setting.name);
  const described = [`${id}-help`, fixed ? `${id}-fixed` : "", problems.length > 0 ? `${id}-problem` : ""]
    .filter(Boolean).join(" ");
  /** @type {Marks} */
  const marks = {
    id,
    disabled: fixed,
    "aria-describedby": described,
    "aria-invalid": problems.length > 0 ? "true" : undefined,
  };
  const value = form.values.value[setting.name];
  const input = inputOf(form, setting, marks, value);
  const isCheckbox = setting.kind === "boolean" && !setting.automatic;
  const label = h("label", { for: id, class: "setting-label" }, setting.title,
    setting.unit && h("span", { class: "setting-unit" }, ` (${setting.unit})`));
  return h("div", { class: `setting${isCheckbox ? " setting-check" : ""}`, "data-setting": setting.name },
    h("div", { class: "setting-head" },
      isCheckbox ? [input, label] : label,
      h(Help, { about: setting.title, id: `${id}-help` }, helpOf(setting)),
      form.chosen(setting.name) && setting.initial !== undefined && !fixed && h(ResetButton, { form, setting })),
    !isCheckbox && input,
    fixed && h("p", { id: `${id}-fixed`, class: "hint" }, "Fixed: a fork keeps its parent's value."),
    problems.length > 0 && h(FieldProblems, { id: `${id}-problem`, sentences: problems }));
}

/** @param {{id: string, sentences: readonly string[]}} props */
export function FieldProblems({ id, sentences }) {
  return h("div", { id, class: "field-problem" },
    sentences.map((sentence) => h("p", { key: sentence }, h("span", { class: "visually-hidden" }, "Problem: "),
      sentence)));
}

/** @param {{form: NewRunForm, setting: Setting}} props */
export function ResetButton({ form, setting }) {
  const back = setting.initial === null ? "automatic" : shownValue(setting.initial);
  return h("button", {
    type: "button",
    class: "setting-reset",
    "aria-label": `Reset ${setting.title} to ${back}`,
    title: `Reset to ${back}`,
    onClick: () => form.reset(setting.name),
  }, "Reset");
}

/** A value in words. @param {unknown} value @returns {string} */
export function shownValue(value) {
  if (value === null || value === undefined) return "automatic";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map((one) => shown(one)).join(", ");
  return shown(value).replace(/^1 (epoch|step|token)s$/, "1 $1");
}

/** @param {Setting} setting */
function helpOf(setting) {
  return /[.!?)]$/.test(setting.help) ? setting.help : `${setting.help}.`;
}

/** What the planner took for a setting that is left to it. @param {NewRunForm} form @param {Setting} setting */
function chosenForYou(form, setting) {
  const value = form.resolved.value[setting.name];
  return value === null || value === undefined ? "automatic" : `${shownValue(value)} (automatic)`;
}

/** @param {NewRunForm} form @param {Setting} setting @param {Marks} marks @param {unknown} value */
function inputOf(form, setting, marks, value) {
  /** @param {unknown} next */
  const change = (next) => form.set(setting.name, next);
  const automatic = setting.automatic ? chosenForYou(form, setting) : "";
  switch (setting.kind) {
    case "boolean":
      return setting.automatic
        ? h(ChoiceInput, { marks, automatic, choices: ["yes", "no"],
          value: value === undefined ? "" : value ? "yes" : "no",
            change: (/** @type {string} */ text) => change(text === "" ? null : text === "yes") })
        : h("input", { ...marks, type: "checkbox", checked: (value ?? setting.initial) === true,
            onChange: withChecked(change) });
    case "choice":
      return h(ChoiceInput, { marks, automatic, choices: setting.choices, value: String(value ?? setting.initial ?? ""),
        change: (/** @type {string} */ text) => change(text === "" ? null : text) });
    case "integer":
    case "number":
      return h(NumberInput, { marks, whole: setting.kind === "integer", unit: setting.unit, value: value ?? null,
        initial: setting.initial, placeholder: automatic || shown(setting.initial), change });
    case "length":
      return h(LengthInput, { marks, title: setting.title, value: value ?? (setting.automatic ? null : setting.initial),
        resolved: form.resolved.value[setting.name], change });
    case "texts":
      return h(TextsInput, { marks, title: setting.title, placeholder: automatic,
        value: Array.isArray(value) ? value.map(String) : [], change });
    default:
      return h("input", { ...marks, type: "text", autocomplete: "off", spellcheck: false, value: shown(value),
        placeholder: automatic || shown(setting.initial),
        onInput: withValue((text) => change(text || null)) });
  }
}

/**
 * @param {{marks: Marks, automatic: string, choices: readonly string[], value: string,
 *   change: (text: string) => void}} props
 */
function ChoiceInput({ marks, automatic, choices, value, change }) {
  const unknown = value !== "" && !choices.includes(value);
  return h(Select, { ...marks, value, none: automatic || undefined, onChoose: change,
    choices: (unknown ? [value, ...choices] : choices).map((one) => [one, one]) });
}

/**
 * A number field that keeps what is typed as it is typed; when it is left, it shows the number that
 * was read. The value is null where nothing or the initial value is chosen.
 * @param {{marks: Marks, whole: boolean, unit?: string, value: unknown, initial: unknown, placeholder: string,
 *   change: (value: unknown) => void}} props
 */
export function NumberInput({ marks, whole, unit = "", value, initial, placeholder, change }) {
  const [text, setText] = useState(shown(value));
  const options = { whole, unit };
  useEffect(() => {
    const typed = typedNumber(text, options);
    if (!same(typed, value) && !(value === null && same(typed, initial))) setText(shown(value));
  }, [value]);
  return h("input", {
    ...marks,
    type: "text",
    inputMode: whole ? "numeric" : "decimal",
    autocomplete: "off",
    value: text,
    placeholder,
    onInput: withValue((typed) => {
      setText(typed);
      change(typedNumber(typed, options));
    }),
    onBlur: () => {
      const typed = typedNumber(text, options);
      if (typeof typed === "number" && Number(text) !== typed) setText(shown(typed));
    },
  });
}

/**
 * @param {{marks: Marks, title: string, value: unknown, resolved: unknown, change: (value: unknown) => void}} props
 * resolved: the length that the planner took where none is chosen
 */
function LengthInput({ marks, title, value, resolved, change }) {
  const [unit, setUnit] = useState(/** @type {string|null} */ (value ? splitLength(value).unit : null));
  const [amount, setAmount] = useState(splitLength(value).amount);
  const automatic = splitLength(resolved);
  const shownUnit = unit ?? automatic.unit;
  useEffect(() => {
    if ((value ?? null) === lengthText(amount, shownUnit)) return;
    const parts = splitLength(value, shownUnit);
    setAmount(parts.amount);
    setUnit(value ? parts.unit : null);
  }, [value]);
  return h("div", { class: "setting-pair" },
    h("input", { ...marks, type: "text", inputMode: "decimal", autocomplete: "off", value: amount,
      placeholder: automatic.amount === "" ? "automatic" : `auto: ${automatic.amount}`,
      onInput: withValue((typed) => {
        setAmount(typed);
        // A unit that is typed, too, counts: "2 epochs".
        setUnit(splitLength(typed, shownUnit).unit);
        change(lengthText(typed, shownUnit));
      }),
      onBlur: () => setAmount(lengthAmount(amount, shownUnit)) }),
    h(Select, { "aria-label": `${title}: unit`, disabled: marks.disabled, value: shownUnit,
      choices: ["steps", "tokens", "epochs"].map((one) => [one, one]),
      onChoose: (next) => {
        setUnit(next);
        change(lengthText(amount, next));
      } }));
}

/**
 * The length that is meant; null where none is.
 * @param {string} typed an amount, or one with its unit
 * @param {string} chosen the unit where none is typed
 */
function lengthText(typed, chosen) {
  const { amount, unit } = splitLength(typed, chosen);
  return typed.trim() === "" ? null : `${amount} ${unit}`;
}

/**
 * The amount as the server reads it, without a unit that was typed with it.
 * @param {string} typed @param {string} chosen
 */
function lengthAmount(typed, chosen) {
  const { amount, unit } = splitLength(typed, chosen);
  const { number } = readNumber(amount, { whole: unit !== "epochs", suffixes: true });
  return number === null || Number(amount) === number ? amount : shown(number);
}

/**
 * Several texts, each in a field of its own.
 * @param {{marks: Marks, title: string, value: readonly string[], placeholder: string,
 *   change: (value: unknown) => void}} props
 */
function TextsInput({ marks, title, value, placeholder, change }) {
  const rows = value.length === 0 ? [""] : value;
  /** @param {string[]} next */
  const put = (next) => change(next.length === 0 || (next.length === 1 && next[0] === "") ? null : next);
  const singular = title.replace(/s$/, "");
  return h("div", { class: "setting-texts" },
    rows.map((text, index) => h("div", { class: "setting-pair", key: index },
      h("textarea", { ...marks, id: index === 0 ? marks.id : `${marks.id}-${index}`, rows: text.includes("\n") ? 3 : 1,
        "aria-label": index === 0 ? undefined : `${singular} ${index + 1}`, value: text,
        placeholder: value.length === 0 ? placeholder : "",
        onInput: withValue((typed) => put(rows.map((one, at) => (at === index ? typed : one)))) }),
      value.length > 0 && h(Button, { disabled: marks.disabled,
        "aria-label": `Remove ${singular.toLowerCase()} ${index + 1}`,
        onClick: () => put(rows.filter((_, at) => at !== index)) }, "Remove"))),
    value.length > 0 && h(Button, { disabled: marks.disabled,
      onClick: () => change([...value, ""]) }, `Add ${singular.toLowerCase()}`));
}

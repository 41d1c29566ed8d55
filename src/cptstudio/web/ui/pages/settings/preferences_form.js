/** The studio's own settings of this workspace: a form made from their schema, saved as they change. */

import { ApiError, get, put } from "../../lib/api.js";
import { h, useEffect, useState, withChecked, withValue } from "../../lib/preact.js";
import { announce } from "../../components/announce.js";
import { Problem, Select } from "../../components/elements.js";
import { Skeleton } from "../../components/placeholders.js";
import { readSettings } from "../../lib/settings_schema.js";
import { shown, typedNumber } from "../../lib/typed_number.js";

/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {{[name: string]: unknown}} Values */

/** What is said where an empty field means something. */
const WHEN_EMPTY = "not set";

export function PreferencesForm() {
  const [settings, setSettings] = useState(/** @type {Setting[]|null} */ (null));
  const [values, setValues] = useState(/** @type {Values} */ ({}));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [failed, setFailed] = useState(/** @type {{name: string, sentences: string[]}|null} */ (null));
  const [saved, setSaved] = useState("");
  const load = () => get("/api/preferences").then(
    (answer) => {
      const { schema, ...rest } = answer;
      setSettings(readSettings(schema));
      setValues(rest);
      setError(null);
    },
    setError);
  useEffect(() => void load(), []);

  /** @param {Setting} setting @param {unknown} value */
  const save = async (setting, value) => {
    const next = { ...values, [setting.name]: value };
    setFailed(null);
    setSaved("");
    try {
      const { schema, ...rest } = await put("/api/preferences", next);
      setValues({ ...next, ...rest });
      setSaved(setting.name);
      announce(`${setting.title}: saved.`);
    } catch (problem) {
      // What was chosen stays to be seen; the server still has the former value.
      setValues(next);
      const own = problem instanceof ApiError ? problem.fields[setting.name] : undefined;
      setFailed({ name: setting.name, sentences: own
        ?? [problem instanceof Error ? problem.message : String(problem)] });
    }
  };
  return h("section", { class: "card", "aria-labelledby": "settings-studio" },
    h("h2", { id: "settings-studio" }, "Studio"),
    h("p", { class: "hint" }, "Saved in this workspace. Changes apply immediately."),
    error !== null && h(Problem, { error, retry: load }),
    settings === null && error === null && h("div", { class: "settings-loading" },
      h(Skeleton, { label: "Loading…", lines: 10 })),
    settings !== null && h("div", { class: "stack" }, settings.map((setting) => h(Preference, {
      key: setting.name, setting, value: values[setting.name] ?? setting.initial, saved: saved === setting.name,
      problems: failed?.name === setting.name ? failed.sentences : [],
      save: (/** @type {unknown} */ value) => void save(setting, value) }))));
}

/**
 * @param {{setting: Setting, value: unknown, saved: boolean, problems: string[], save: (value: unknown) => void}} props
 */
function Preference({ setting, value, saved, problems, save }) {
  const id = `preference-${setting.name}`;
  const marks = {
    id,
    "aria-describedby": `${id}-hint${problems.length > 0 ? ` ${id}-problem` : ""}`,
    "aria-invalid": /** @type {"true"|undefined} */ (problems.length > 0 ? "true" : undefined),
  };
  const label = h("label", { for: id }, setting.title,
    setting.unit && h("span", { class: "field-unit" }, ` (${setting.unit})`));
  const note = saved && h("span", { class: "saved" }, "Saved");
  return h("div", { class: "field", "data-preference": setting.name },
    setting.kind === "boolean"
      ? h("div", { class: "check" },
          h("input", { ...marks, type: "checkbox", checked: value === true, onChange: withChecked(save) }),
          label, note)
      : [h("div", { key: "head", class: "row" }, label, note), inputOf(setting, marks, value, save)],
    h("p", { id: `${id}-hint`, class: "hint" }, setting.help),
    problems.length > 0 && h("div", { id: `${id}-problem`, class: "field-problem" },
      problems.map((sentence) => h("p", { key: sentence }, sentence))));
}

/** @param {Setting} setting @param {object} marks @param {unknown} value @param {(value: unknown) => void} save */
function inputOf(setting, marks, value, save) {
  if (setting.kind === "choice") {
    return h(Select, { key: "input", ...marks, value: String(value ?? ""), onChoose: (text) => save(text || null),
      none: setting.automatic ? WHEN_EMPTY : undefined, choices: setting.choices.map((choice) => [choice, choice]) });
  }
  const isNumber = setting.kind === "integer" || setting.kind === "number";
  return h("input", { key: "input", ...marks, type: "text", inputMode: isNumber ? "decimal" : undefined,
    autocomplete: "off",
    placeholder: setting.automatic ? WHEN_EMPTY : "", value: shown(value),
    onChange: withValue((text) => save(isNumber
      ? (typedNumber(text, { whole: setting.kind === "integer", unit: setting.unit }) ?? setting.initial)
      : text === "" && setting.automatic ? null : text)) });
}

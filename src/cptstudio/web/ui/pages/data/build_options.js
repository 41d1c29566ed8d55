/** What decides, together with the sources, which documents a corpus has. */

import { Problem, Select } from "../../components/elements.js";
import { h, useState, withChecked, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { readSettings } from "../../lib/settings_schema.js";
import { Segmented } from "../../components/segmented.js";
import { checkedNumber } from "../../lib/typed_number.js";

/**
 * What is chosen: the build's settings by name, where they are not the usual ones, and
 * @typedef {{[setting: string]: any, model: string|null, allow_lossy_tokenizer: boolean}} Options
 * model: whose tokenizer is used; null: not tokenised now
 */

/** @type {Options} */
export const initialOptions = { model: null, allow_lossy_tokenizer: false };

/** The field whose text cannot be read; null where there is none. @param {Options} options */
export function unreadable(options) {
  const name = Object.keys(options).find((one) => Number.isNaN(options[one]));
  return name === undefined ? null : document.getElementById(`option-${name}`);
}

/**
 * @param {{options: Options, models: readonly {name: string, reference: string}[]|null,
 *   change: (options: Partial<Options>) => void, without?: readonly string[]}} props without: settings that are chosen
 *   elsewhere
 */
export function BuildOptions({ options, models, change, without = [] }) {
  const { data, error, reload } = useResource("/api/build-schema");
  return h("fieldset", { class: "build-options" },
    h("legend", {}, "Options"),
    error !== null && h(Problem, { error, retry: reload }),
    h("div", { class: "setting-grid" },
      h("div", { class: "setting" },
        h("label", { for: "option-model", class: "setting-label" }, "Tokenize for"),
        h(Select, { id: "option-model", "aria-describedby": "option-model-help", value: options.model ?? "",
          none: "No model yet", choices: (models ?? []).map((model) => [model.reference, model.name]),
          onChoose: (model) => change({ model: model || null }) }),
        h("p", { id: "option-model-help", class: "hint" },
          models !== null && models.length === 0
            ? "No models on this machine yet. You can tokenize the corpus later."
            : "Uses this model's tokenizer. You can add other models later.")),
      data !== null && readSettings(data)
        .filter(({ name }) => name !== "kind" && !without.includes(name)
          && isOffered(data.properties[name], options[name]) && isOfKind(data.properties[name], options["kind"]))
        .map((setting) => h(BuildSetting, { key: setting.name, setting,
        choices: data.properties[setting.name].choices, value: options[setting.name] ?? setting.initial,
        change: (/** @type {any} */ value) => change({ [setting.name]: value }) })),
      check("option-lossy", "Allow a lossy tokenizer",
        "By default, a tokenizer that loses more than 1% of the characters is rejected.",
        options.allow_lossy_tokenizer, (allow_lossy_tokenizer) => change({ allow_lossy_tokenizer }))));
}

/**
 * Whether a setting is offered: what the machine cannot do is not, but can be taken back.
 * @param {{unavailable?: boolean}} property of its schema @param {any} chosen
 */
function isOffered(property, chosen) {
  return property.unavailable !== true || (Array.isArray(chosen) ? chosen.length > 0 : Boolean(chosen));
}

/**
 * Whether a setting is one of this kind of corpus.
 * @param {{kind?: string}} property of its schema @param {string|undefined} kind
 */
function isOfKind(property, kind) {
  return property.kind === undefined || property.kind === (kind ?? "documents");
}

/** What a corpus may be of, with what each is for. */
const KINDS = /** @type {const} */ ([["documents", "Documents"], ["conversations", "Conversations"]]);
/** @type {{[kind: string]: string}} */
const MEANS = {
  documents: "Plain text, for continued pre-training.",
  conversations: "Chat records, for fine-tuning on their answers: messages, ShareGPT, Alpaca, prompt and completion, "
    + "or two columns that you name.",
};

/**
 * @param {{options: Options, change: (options: Partial<Options>) => void}} props
 */
export function KindChoice({ options, change }) {
  const kind = options["kind"] ?? "documents";
  return h("div", { class: "setting" },
    h("span", { class: "setting-label" }, "Kind"),
    h(Segmented, { label: "Kind of corpus", value: kind, choices: KINDS, onChoose: (chosen) => change({ kind: chosen,
      // What belongs to the other kind alone is refused with this one.
      prompt_column: null, answer_column: null, conversations: false }) }),
    h("p", { class: "hint" }, MEANS[kind]));
}

/**
 * @param {{setting: import("../../lib/settings_schema.js").Setting, choices?: {[choice: string]: string}, value: any,
 *   change: (value: any) => void}} props choices: what each of several means
 */
function BuildSetting({ setting, choices = {}, value, change }) {
  const { name, title, help, kind } = setting;
  const id = `option-${name}`;
  if (kind === "boolean") return check(id, title, help, value, change);
  if (kind === "number" || kind === "integer") return h(NumberSetting, { id, setting, value, change });
  if (kind === "texts" && Object.keys(choices).length === 0) {
    return h(Lines, { id, label: title, help, value, change });
  }
  if (kind === "texts") {
    return Object.entries(choices).map(([choice, means]) => check(`${id}-${choice}`, `${title} ${choice}`,
      `${means.charAt(0).toUpperCase()}${means.slice(1)}.`, value.includes(choice), (wanted) =>
        change(wanted ? [...value, choice] : value.filter((/** @type {string} */ one) => one !== choice))));
  }
  return h("div", { class: "setting" },
    h("label", { for: id, class: "setting-label" }, title),
    h("input", { id, type: "text", autocomplete: "off", spellcheck: false, value: value ?? "",
      "aria-describedby": `${id}-help`,
      onInput: withValue((typed) => change(setting.automatic && typed === "" ? null : typed)) }),
    h("p", { id: `${id}-help`, class: "hint" }, help));
}

/**
 * Texts, one a line.
 * @param {{id: string, label: string, help: string, value: string[], change: (value: string[]) => void}} props
 */
function Lines({ id, label, help, value, change }) {
  const [text, setText] = useState(value.join("\n"));
  return h("div", { class: "setting" },
    h("label", { for: id, class: "setting-label" }, label),
    h("textarea", { id, rows: 2, spellcheck: false, value: text, "aria-describedby": `${id}-help`,
      onInput: withValue((typed) => {
        setText(typed);
        change(typed.split("\n").map((line) => line.trim()).filter(Boolean));
      }) }),
    h("p", { id: `${id}-help`, class: "hint" }, `${help} One per line.`));
}

/**
 * A whole number, or a share that is typed in percent; NaN while what is typed is none, null where it may be left
 * open.
 * @param {{id: string, setting: import("../../lib/settings_schema.js").Setting, value: number|null,
 *   change: (value: number|null) => void}} props
 */
function NumberSetting({ id, setting, value, change }) {
  const { title, help, automatic } = setting;
  const share = setting.kind === "number";
  const scale = share ? 100 : 1;
  const limits = share ? { unit: "%", least: 0, most: (setting.limits.most ?? 1) * 100 } : setting.limits;
  const [text, setText] = useState(value === null ? "" : String(Number((value * scale).toFixed(6))));
  const { number, problem } = checkedNumber(text, limits);
  const wrong = text.trim() === "" && !automatic ? "Enter a number, such as 1." : problem;
  return h("div", { class: "setting" },
    h("label", { for: id, class: "setting-label" }, title, share && h("span", { class: "setting-unit" }, " (%)")),
    h("input", { id, type: "text", inputMode: share ? "decimal" : "numeric", autocomplete: "off", value: text,
      placeholder: automatic ? "automatic" : undefined,
      "aria-describedby": `${id}-help${wrong === "" ? "" : ` ${id}-problem`}`,
      "aria-invalid": wrong === "" ? undefined : "true",
      onInput: withValue((typed) => {
        setText(typed);
        const read = checkedNumber(typed, limits).number;
        const open = automatic && typed.trim() === "";
        change(read === null ? (open ? null : NaN) : Number((read / scale).toPrecision(12)));
      }),
      onBlur: () => number !== null && Number(text) !== number && setText(String(number)) }),
    h("p", { id: `${id}-help`, class: "hint" }, help),
    wrong !== "" && h("p", { id: `${id}-problem`, class: "field-problem" }, wrong));
}

/**
 * @param {string} id @param {string} label @param {string} help @param {boolean} value
 * @param {(value: boolean) => void} change
 */
function check(id, label, help, value, change) {
  return h("div", { class: "setting setting-check" },
    h("div", { class: "setting-head" },
      h("input", { id, type: "checkbox", checked: value, "aria-describedby": `${id}-help`,
        onChange: withChecked(change) }),
      h("label", { for: id, class: "setting-label" }, label)),
    h("p", { id: `${id}-help`, class: "hint" }, help));
}

/** What decides, together with the sources, which documents a corpus has. */

import { h, useState } from "../../lib/preact.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { useFormats } from "./formats.js";

/**
 * @typedef {object} Options
 * @property {string|null} model whose tokenizer is used; null: not tokenised now
 * @property {string} text_field
 * @property {boolean} exact_dedup
 * @property {boolean} near_dedup
 * @property {number} held_out share
 * @property {number} test share
 * @property {string[]} include kinds of files that are otherwise left aside
 * @property {boolean} allow_lossy_tokenizer
 */

/** @type {Options} */
export const initialOptions = { model: null, text_field: "text", exact_dedup: true, near_dedup: true, held_out: 0.01, test: 0.01,
  include: [], allow_lossy_tokenizer: false };

/**
 * @param {{options: Options, models: readonly {name: string, reference: string}[]|null, change: (options: Partial<Options>) => void}} props
 */
export function BuildOptions({ options, models, change }) {
  const formats = useFormats();
  return h("fieldset", { class: "build-options" },
    h("legend", {}, "Options"),
    h("div", { class: "setting-grid" },
      h("div", { class: "setting" },
        h("label", { for: "option-model", class: "setting-label" }, "Tokenise for"),
        h("select", { id: "option-model", "aria-describedby": "option-model-help", value: options.model ?? "",
            onChange: (/** @type {Event} */ event) => change({ model: /** @type {HTMLSelectElement} */ (event.currentTarget).value || null }) },
          h("option", { value: "" }, "no model now"),
          (models ?? []).map((model) => h("option", { key: model.reference, value: model.reference }, model.name))),
        h("p", { id: "option-model-help", class: "hint" },
          models !== null && models.length === 0
            ? "There is no model on this machine yet. The corpus can be tokenised later."
            : "With this model's own tokenizer. Others can follow later.")),
      h("div", { class: "setting" },
        h("label", { for: "option-field", class: "setting-label" }, "Text field"),
        h("input", { id: "option-field", type: "text", autocomplete: "off", spellcheck: false, value: options.text_field, "aria-describedby": "option-field-help",
          onInput: (/** @type {Event} */ event) => change({ text_field: /** @type {HTMLInputElement} */ (event.currentTarget).value }) }),
        h("p", { id: "option-field-help", class: "hint" }, formats.records)),
      h(Share, { id: "option-validation", label: "Held out for validation", help: "Share of the documents. Measured while training, never trained on.",
        value: options.held_out, change: (held_out) => change({ held_out }) }),
      h(Share, { id: "option-test", label: "Kept for a last test", help: "Share of the documents that no training run looks at.",
        value: options.test, change: (test) => change({ test }) }),
      check("option-exact", "Drop equal documents", "Of documents with the same text one stays.", options.exact_dedup, (exact_dedup) => change({ exact_dedup })),
      check("option-near", "Drop nearly equal documents", "About three quarters of the words in common. Each is reported.", options.near_dedup, (near_dedup) => change({ near_dedup })),
      KINDS.map(({ kind, label, help }) => check(`option-include-${kind}`, label, help, options.include.includes(kind), (wanted) =>
        change({ include: wanted ? [...options.include, kind] : options.include.filter((one) => one !== kind) }))),
      check("option-lossy", "Allow a tokenizer that loses text", "Otherwise, a tokenizer that loses more than 1% of the characters is refused.",
        options.allow_lossy_tokenizer, (allow_lossy_tokenizer) => change({ allow_lossy_tokenizer }))));
}

/** What a share may be, in percent. */
const PERCENT = { unit: "%", least: 0, most: 50 };

/** What is left aside unless it is wanted. */
const KINDS = [
  { kind: "hidden", label: "Include hidden files", help: "Files and folders whose names begin with a dot." },
  { kind: "generated", label: "Include generated files", help: "Installed packages, virtual environments, build output, minified and lock files." },
  { kind: "secrets", label: "Include secrets", help: "Environment files, private keys and credentials. The model will learn them." },
];

/**
 * A share of documents, typed in percent; NaN while what is typed is none.
 * @param {{id: string, label: string, help: string, value: number, change: (value: number) => void}} props value: share of one
 */
function Share({ id, label, help, value, change }) {
  const [text, setText] = useState(String(Number((value * 100).toFixed(6))));
  const { number, problem } = checkedNumber(text, PERCENT);
  const wrong = text.trim() === "" ? "Enter a number, such as 1." : problem;
  return h("div", { class: "setting" },
    h("label", { for: id, class: "setting-label" }, label, h("span", { class: "setting-unit" }, " (%)")),
    h("input", { id, type: "text", inputMode: "decimal", autocomplete: "off", value: text,
      "aria-describedby": `${id}-help${wrong === "" ? "" : ` ${id}-problem`}`, "aria-invalid": wrong === "" ? undefined : "true",
      onInput: (/** @type {Event} */ event) => {
        const typed = /** @type {HTMLInputElement} */ (event.currentTarget).value;
        setText(typed);
        const read = checkedNumber(typed, PERCENT).number;
        change(read === null ? NaN : Number((read / 100).toPrecision(12)));
      },
      onBlur: () => number !== null && Number(text) !== number && setText(String(number)) }),
    h("p", { id: `${id}-help`, class: "hint" }, help),
    wrong !== "" && h("p", { id: `${id}-problem`, class: "field-problem" }, wrong));
}

/**
 * @param {string} id
 * @param {string} label
 * @param {string} help
 * @param {boolean} value
 * @param {(value: boolean) => void} change
 */
function check(id, label, help, value, change) {
  return h("div", { class: "setting setting-check" },
    h("div", { class: "setting-head" },
      h("input", { id, type: "checkbox", checked: value, "aria-describedby": `${id}-help`,
        onChange: (/** @type {Event} */ event) => change(/** @type {HTMLInputElement} */ (event.currentTarget).checked) }),
      h("label", { for: id, class: "setting-label" }, label)),
    h("p", { id: `${id}-help`, class: "hint" }, help));
}

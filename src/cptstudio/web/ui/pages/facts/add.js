/** Adding facts: from a corpus without any model, or as lines of JSON. */

import { announce } from "../../components/announce.js";
import { Button, Field, Problem, Select } from "../../components/elements.js";
import { NumberField } from "../../components/number_field.js";
import { Segmented } from "../../components/segmented.js";
import { post } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { StartJob } from "./jobs.js";

const EXAMPLE = '{"question": "Who mapped the Velmar?", "answer": "Maren Ostvik", "distractors": ["Ada Rue"]}';

/**
 * @param {{name: string, missing: string, schema: any, started: () => void, added: () => void}} props
 * missing: what has to be given first
 */
export function AddFacts({ name, missing, schema, started, added }) {
  const [way, setWay] = useState("corpus");
  return h("div", { class: "stack" },
    h(Segmented, { label: "Where the facts come from", value: way, onChoose: setWay, choices: [
      ["corpus", "From a corpus"], ["lines", "Own questions"]] }),
    way === "corpus" ? h(FromCorpus, { name, missing, schema, started }) : h(FromLines, { name, missing, added }));
}

/** @param {{name: string, missing: string, schema: any, started: () => void}} props */
function FromCorpus({ name, missing, schema, started }) {
  const { data, error, reload } = useResource("/api/corpora");
  const [corpus, setCorpus] = useState("");
  const [typed, setTyped] = useState(/** @type {Record<string, string>} */ ({}));
  const [kinds, setKinds] = useState(/** @type {string[]} */ ([]));
  const known = schema.properties;
  const numbers = ["count", "distractors", "held_out", "seed"];
  const limits = (/** @type {string} */ field) => ({ whole: known[field].type === "integer",
    least: known[field].minimum, most: known[field].maximum });
  const given = Object.fromEntries(numbers.map((field) =>
    [field, checkedNumber(typed[field] ?? "", limits(field))]));
  const wrong = numbers.some((field) => (typed[field] ?? "") !== "" && given[field].number === null);
  const body = { corpus, kinds, ...Object.fromEntries(numbers.filter((field) => given[field].number !== null)
    .map((field) => [field, given[field].number])) };
  const corpora = /** @type {any[]} */ (data?.corpora ?? []).filter((one) => one.error === null);
  const toggle = (/** @type {string} */ kind) =>
    setKinds(kinds.includes(kind) ? kinds.filter((one) => one !== kind) : [...kinds, kind]);
  return h("div", { class: "stack" },
    error !== null && h(Problem, { error, retry: () => void reload() }),
    h("p", { class: "hint" }, "A name, number, or defined term is taken out of the sentence that states it. Wrong "
      + "answers of the same kind come from the same corpus. No model is needed."),
    h("div", { class: "facts-fields" },
      h(Field, { label: "Corpus", control: (attributes) => h(Select, { ...attributes, value: corpus,
        none: "Choose a corpus", choices: corpora.map((one) => [one.name, one.name]), onChoose: setCorpus }) }),
      numbers.map((field) => h(NumberField, { key: field, label: known[field].title,
        hint: known[field].description, text: typed[field] ?? "", initial: String(known[field].default),
        limits: limits(field), onText: (text) => setTyped({ ...typed, [field]: text }) }))),
    h("fieldset", { class: "choices" }, h("legend", {}, known.kinds.title),
      Object.entries(known.kinds.choices).map(([kind, words]) => h("label", { key: kind, class: "check" },
        h("input", { type: "checkbox", checked: kinds.length === 0 || kinds.includes(kind),
          onChange: () => (kinds.length === 0
            ? setKinds(Object.keys(known.kinds.choices).filter((one) => one !== kind)) : toggle(kind)) }),
        /** @type {string} */ (words)))),
    h(StartJob, { action: "Make facts", path: `/api/facts/${encodeURIComponent(name)}/make`, body, started,
      missing: missing || (corpus === "" ? "Choose a corpus." : wrong ? "Correct the numbers above." : "") }));
}

/** @param {{name: string, missing: string, added: () => void}} props */
function FromLines({ name, missing, added }) {
  const [text, setText] = useState("");
  const { busy, error, run } = useWork();
  const add = () => run(async () => {
    const answer = await post(`/api/facts/${encodeURIComponent(name)}/facts`, { text });
    announce(`Added ${integer(answer.added)} of ${integer(answer.given)} facts.`);
    setText("");
    added();
  });
  const wanted = missing || (text.trim() === "" ? "Enter a fact." : "");
  return h("div", { class: "stack" },
    h(Field, { label: "Facts", hint: "One JSON object per line: answer, and a question or a cloze sentence with ___ "
      + "where the answer belongs; optionally distractors, paraphrases, reversed, and source.",
      control: (attributes) => h("textarea", { ...attributes, rows: 6, spellcheck: false, class: "facts-lines",
        placeholder: EXAMPLE, value: text, onInput: withValue(setText) }) }),
    error !== null && h(Problem, { error }),
    h("div", { class: "form-actions" },
      h(Button, { kind: "primary", icon: "plus", busy, disabled: wanted !== "", onClick: add }, "Add facts"),
      h("span", { class: "hint" }, wanted)));
}

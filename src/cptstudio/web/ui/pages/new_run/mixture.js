/** The editor of the mixture: which corpora, in which role, with which weight. */

import { h, useEffect, useRef } from "../../lib/preact.js";
import { Button, Select } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { FieldProblems, NumberInput } from "./setting_control.js";
import { controlId, problemsOf } from "./problems.js";
import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./tree.js").CorpusUse} CorpusUse */

/**
 * @typedef {{name: string, tokens: {tokenizer: string, tokens: {[side: string]: number}}[],
 *   text_bytes: {[side: string]: number}, error: string|null}} CorpusSummary
 */

const ROLES = [
  ["domain", "domain: to be learned"],
  ["replay", "replay: against forgetting"],
  ["evaluation", "evaluation: only measured"],
];

/** @param {{form: NewRunForm, corpora: readonly CorpusSummary[]|null}} props */
export function MixtureEditor({ form, corpora }) {
  const id = controlId("data.corpora");
  const problems = problemsOf(form, "data.corpora");
  const fixed = form.fixed("data.corpora");
  const uses = corporaOf(form.values.value);
  /** @param {CorpusUse[]} next */
  const put = (next) => form.set("data.corpora", next.length === 0 ? null : next);
  const unused = (corpora ?? []).filter((corpus) =>
    !uses.some((use) => use.name === corpus.name) && corpus.error === null);
  const fresh = useRef(-1);
  const add = () => {
    const role = uses.some((use) => use.role === "domain") ? "replay" : "domain";
    fresh.current = uses.length;
    put([...uses, { name: "", role, weight: 1 }]);
  };
  useEffect(() => {
    // Which one is the user's to choose, so the new row's menu has the focus.
    if (fresh.current < 0) return;
    document.getElementById(rowId(fresh.current))?.focus();
    fresh.current = -1;
  }, [uses.length]);
  return h("fieldset", { class: "mixture", disabled: fixed, "aria-describedby": `${id}-help ${id}-problem` },
    h("legend", {}, "Corpora"),
    h("p", { id: `${id}-help`, class: "hint" },
      "The domain is what the model shall learn; replay is general text that keeps it from forgetting. A domain's "
        + "weight is how often it is read in an epoch, a replay corpus's its part of the replayed text."),
    corpora !== null && corpora.length === 0
      ? h("p", { class: "empty-note" }, "There is no corpus yet. ", h("a", { href: "/data?add=1" }, "Add one"),
        " from a folder or files first.")
      : h("div", { class: "mixture-rows" },
          uses.map((use, index) => h(MixtureRow, { key: index, index, use, uses, corpora: corpora ?? [], put,
            invalid: problems.length > 0, problemId: `${id}-problem` }))),
    (corpora === null || corpora.length > 0) && h(Button, { id: uses.length === 0 ? id : undefined,
      disabled: unused.length === 0 || fixed || uses.some((use) => use.name === ""),
      "aria-describedby": `${id}-problem`, onClick: add },
      uses.length === 0
        ? "Choose a corpus"
        : unused.length === 0 ? "All corpora are in the mixture" : "Add another corpus"),
    h("div", { id: `${id}-problem`, class: "problem-place" },
      problems.length > 0 && h(FieldProblems, { id: `${id}-sentences`, sentences: problems })));
}

/** The id of a row's menu. @param {number} index */
const rowId = (index) => (index === 0 ? controlId("data.corpora") : `${controlId("data.corpora")}-${index}`);

/**
 * @param {{index: number, use: CorpusUse, uses: CorpusUse[], corpora: readonly CorpusSummary[],
 *   put: (uses: CorpusUse[]) => void, invalid: boolean, problemId: string}} props
 */
function MixtureRow({ index, use, uses, corpora, put, invalid, problemId }) {
  /** @param {Partial<CorpusUse>} change */
  const update = (change) => put(uses.map((one, at) => (at === index ? { ...one, ...change } : one)));
  const known = corpora.find((corpus) => corpus.name === use.name);
  const free = corpora.filter((corpus) => corpus.name === use.name || !uses.some((one) => one.name === corpus.name));
  const place = `Corpus ${index + 1}`;
  const id = rowId(index);
  const marks = { "aria-invalid": /** @type {"true"|undefined} */ (invalid ? "true" : undefined),
    "aria-describedby": problemId };
  return h("div", { class: "mixture-row", role: "group", "aria-label": place },
    h("div", { class: "mixture-name" },
      h("label", { for: id }, "Corpus"),
      h(Select, { id, ...marks, value: use.name, none: use.name === "" ? "Choose one" : undefined,
        onChoose: (name) => update({ name }),
        choices: [...(use.name && !known ? [[use.name, `${use.name} (not in this workspace)`]] : []),
          ...free.map((corpus) => [corpus.name, corpus.name])] })),
    h("div", { class: "mixture-role" },
      h("label", { for: `${id}-role` }, "Role"),
      h(Select, { id: `${id}-role`, value: use.role, choices: ROLES, onChoose: (role) => update({ role }) })),
    h("div", { class: "mixture-weight" },
      h("label", { for: `${id}-weight` }, "Weight"),
      h(NumberInput, { whole: false, value: use.weight, initial: 1, placeholder: "1",
        marks: { id: `${id}-weight`, disabled: use.role === "evaluation", "aria-describedby": `${id}-size`,
          "aria-invalid": undefined },
        change: (/** @type {unknown} */ weight) => update({ weight: /** @type {number|string} */ (weight ?? 1) }) })),
    h(Button, { "aria-label": `Remove ${use.name || place}`,
      onClick: () => put(uses.filter((_, at) => at !== index)) }, "Remove"),
    h("p", { id: `${id}-size`, class: "mixture-size" }, sizeOf(known), " ",
      use.role === "domain" && Number(use.weight) !== 1 ? `Read ${use.weight} times in an epoch.` : ""));
}

/** @param {CorpusSummary|undefined} corpus */
function sizeOf(corpus) {
  if (corpus === undefined) return "";
  const counts = corpus.tokens.map((one) => one.tokens["train"] ?? 0);
  if (counts.length === 0) return "Not tokenised for any model yet.";
  const low = Math.min(...counts);
  const high = Math.max(...counts);
  return low === high
    ? `${integer(low)} training tokens.`
    : `${integer(low)} to ${integer(high)} training tokens, by model.`;
}

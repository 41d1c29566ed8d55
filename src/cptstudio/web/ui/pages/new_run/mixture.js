/** The choice of the corpora: which ones, in which role, with which weight. */

import { h, useState, withValue } from "../../lib/preact.js";
import { Badge, Button, Select } from "../../components/elements.js";
import { Help } from "../../components/help.js";
import { count, integer, percent } from "../../lib/format.js";
import { Choice } from "./choice.js";
import { FieldProblems, NumberInput } from "./setting_control.js";
import { controlId, problemsOf } from "./problems.js";
import { Tokenize } from "./tokenize.js";
import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./tree.js").CorpusUse} CorpusUse */

/** @typedef {{[split: string]: number}} BySplit */
/**
 * @typedef {{name: string, documents: BySplit, text_bytes: BySplit, tokens: {tokenizer: string, tokens: BySplit}[],
 *   languages: {[language: string]: number}, warnings: string[], problem_files: number|null, error: string|null}}
 *   CorpusSummary
 */

const ROLES = [["domain", "Domain (learn)"], ["replay", "Replay (limit forgetting)"],
  ["evaluation", "Evaluation only"]];
const HELP = "Domain: what the model should learn. Replay: general text that limits forgetting. Weight: for "
  + "domain, passes per epoch; for replay, its share of the replayed text.";
/** The fewest corpora for which a filter is worth its place. */
const MANY = 8;
/** Languages that are named, where they are more than a trace. */
const NAMED = 3;
const A_TRACE = 0.01;

/** @param {{form: NewRunForm, corpora: readonly CorpusSummary[]|null, reload: () => void}} props */
export function MixtureEditor({ form, corpora, reload }) {
  const [filter, setFilter] = useState("");
  const id = controlId("data.corpora");
  const problems = problemsOf(form, "data.corpora");
  const fixed = form.fixed("data.corpora");
  const uses = corporaOf(form.values.value);
  /** @param {CorpusUse[]} next */
  const put = (next) => form.set("data.corpora", next.length === 0 ? null : next);
  const missing = uses.filter((use) => corpora !== null && !corpora.some((corpus) => corpus.name === use.name));
  const listed = (corpora ?? []).filter((corpus) => uses.some((use) => use.name === corpus.name)
    || corpus.name.toLowerCase().includes(filter.trim().toLowerCase()));
  const names = [...missing.map((use) => use.name), ...listed.map((corpus) => corpus.name)];
  // Where the focus goes when something is wrong with the choice.
  const first = names.find((name) => uses.some((use) => use.name === name)) ?? names[0];
  return h("fieldset", { class: "mixture", disabled: fixed, "aria-describedby": `${id}-problem` },
    h("legend", {}, "Corpora ", h(Help, { about: "Corpora", id: `${id}-help` }, HELP)),
    fixed && h("p", { class: "hint" }, "Fixed: a fork keeps its parent's corpora."),
    corpora === null && h("p", { class: "hint", "aria-busy": "true" }, "Loading corpora…"),
    corpora !== null && corpora.length === 0 && h("p", { class: "empty-note" }, "No corpora yet. ",
      h("a", { href: "/data?add=1" }, "Add one"), " from a folder or files. Your choices here are saved."),
    corpora !== null && corpora.length > MANY && h("div", { class: "model-filter" },
      h("label", { for: "corpus-filter" }, "Filter"),
      h("input", { id: "corpus-filter", type: "search", value: filter, autocomplete: "off",
        onInput: withValue(setFilter) })),
    h("div", { class: "choices" }, names.map((name) => h(CorpusChoice, { key: name, name, uses, put,
      corpus: (corpora ?? []).find((one) => one.name === name), id: name === first ? id : `${id}-${name}`,
      invalid: problems.length > 0, problemId: `${id}-problem` }))),
    h("div", { id: `${id}-problem`, class: "problem-place" },
      problems.length > 0 && h(FieldProblems, { id: `${id}-sentences`, sentences: problems })),
    h(Tokenize, { form, made: reload }),
    corpora !== null && corpora.length > 0 && !fixed && h("div", { class: "row" },
      h(Button, { small: true, icon: "plus", href: "/data?add=1" }, "Add a corpus")));
}

/**
 * @param {{name: string, corpus: CorpusSummary|undefined, uses: readonly CorpusUse[], id: string,
 *   put: (uses: CorpusUse[]) => void, invalid: boolean, problemId: string}} props corpus: undefined where it is not
 *   in this workspace
 */
function CorpusChoice({ name, corpus, uses, id, put, invalid, problemId }) {
  const use = uses.find((one) => one.name === name);
  const broken = corpus !== undefined && corpus.error !== null;
  const toggle = (/** @type {boolean} */ chosen) => {
    const role = uses.some((one) => one.role === "domain") ? "replay" : "domain";
    put(chosen ? [...uses, { name, role, weight: 1 }] : uses.filter((one) => one.name !== name));
  };
  const update = (/** @type {Partial<CorpusUse>} */ change) =>
    put(uses.map((one) => (one.name === name ? { ...one, ...change } : one)));
  return h(Choice, { kind: "checkbox", id, title: name, chosen: use !== undefined, disabled: broken && !use,
    invalid, describedBy: problemId, choose: toggle,
    badges: corpus !== undefined && corpus.warnings.length > 0
      && h(Badge, { tone: "warn", icon: "alert" }, corpus.warnings.length === 1
        ? "1 warning" : `${corpus.warnings.length} warnings`),
    more: use && h(Role, { use, update }) },
    corpus === undefined ? h("span", { class: "choice-facts" }, "Not in this workspace.")
      : broken ? h("span", { class: "choice-facts" }, `Unavailable: ${corpus.error}`)
      : h(Facts, { corpus, full: use !== undefined }));
}

/** @param {{use: CorpusUse, update: (change: Partial<CorpusUse>) => void}} props */
function Role({ use, update }) {
  const id = `${controlId("data.corpora")}-${use.name}`;
  return h("div", { class: "corpus-role", role: "group", "aria-label": use.name },
    h("div", { class: "field" },
      h("label", { for: `${id}-role` }, "Role"),
      h(Select, { id: `${id}-role`, value: use.role, choices: ROLES, onChoose: (role) => update({ role }) })),
    use.role !== "evaluation" && h("div", { class: "field corpus-weight" },
      h("label", { for: `${id}-weight` }, "Weight"),
      h(NumberInput, { whole: false, value: use.weight, initial: 1, placeholder: "1",
        marks: { id: `${id}-weight`, disabled: false, "aria-describedby": `${controlId("data.corpora")}-problem`,
          "aria-invalid": undefined },
        change: (/** @type {unknown} */ weight) => update({ weight: /** @type {number|string} */ (weight ?? 1) }) })));
}

/** @param {{corpus: CorpusSummary, full: boolean}} props */
function Facts({ corpus, full }) {
  const { train = 0, validation = 0, test = 0 } = corpus.documents;
  const documents = train + validation + test;
  const languages = Object.entries(corpus.languages).filter(([, share], index) => index === 0 || share >= A_TRACE);
  const others = languages.length - NAMED;
  return [
    h("span", { class: "choice-facts", key: "size" }, [
      `${integer(documents)} ${documents === 1 ? "document" : "documents"}`, tokensOf(corpus),
    ].filter(Boolean).join(" · ")),
    h("span", { class: "choice-facts", key: "split" }, [
      `${count(train)} train`, `${count(validation)} validation`, ...(test > 0 ? [`${count(test)} test`] : []),
    ].join(" / ")),
    languages.length > 0 && h("span", { class: "choice-facts", key: "languages" },
      languages.slice(0, NAMED).map(([name, share]) => `${name} ${percent(Number(share.toFixed(2)))}`).join(", ")
        + (others > 0 ? ` and ${others} more` : "")),
    full && corpus.warnings.length > 0 && h("span", { class: "choice-warning", key: "warnings" },
      corpus.warnings.join(" ")),
  ];
}

/** Tokens to train on: they depend on the tokenizer. @param {CorpusSummary} corpus */
function tokensOf(corpus) {
  const counts = corpus.tokens.map((one) => one.tokens["train"] ?? 0);
  if (counts.length === 0) return "not tokenized yet";
  const low = Math.min(...counts);
  const high = Math.max(...counts);
  return low === high ? `${count(low)} tokens` : `${count(low)}–${count(high)} tokens, depending on the model`;
}

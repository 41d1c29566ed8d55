/** A corpus from a dataset of the hub: found, looked into, its license read, then built. */

import { get, post } from "../../lib/api.js";
import { bytes, integer } from "../../lib/format.js";
import { noteJob, useJob } from "../../lib/jobs.js";
import { nameProblem } from "../../lib/names.js";
import { h, useEffect, useState, withValue } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { navigate } from "../../lib/router.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { announce } from "../../components/announce.js";
import { Badge, Button, Field, Problem, Select } from "../../components/elements.js";
import { HubCard } from "../../components/hub_card.js";
import { Card } from "../../components/layout.js";
import { hubFacts } from "../../components/model_download.js";
import { NumberField } from "../../components/number_field.js";
import { Skeleton } from "../../components/placeholders.js";
import { JobProgress } from "../../components/progress.js";
import { suggestedName } from "./add_corpus.js";
import { BuildOptions, initialOptions, KindChoice, unreadable } from "./build_options.js";

/** @typedef {import("./build_options.js").Options} Options */
/** @typedef {{name: string, files: number, bytes: number, rows: number|null}} Split */
/** @typedef {{name: string, is_default: boolean, splits: Split[]}} Configuration */
/**
 * @typedef {{id: string, commit: string, license: string|null, converted: boolean, configurations: Configuration[]}}
 *   Dataset
 */
/** @typedef {{fields: {name: string, is_text: boolean, examples: string[]}[], rows: number|null}} Beginning */

const HUB_ID = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*\/)?[A-Za-z0-9][A-Za-z0-9._-]*$/;
const ROWS = { whole: true, least: 1, most: 10_000_000_000 };

/** @param {{taken: readonly string[]}} props taken: names that are in use */
export function HubDatasetForm({ taken }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState(/** @type {any[]|null} */ (null));
  const [dataset, setDataset] = useState(/** @type {Dataset|null} */ (null));
  const [card, showCard] = useState(/** @type {string|null} */ (null));
  const { busy, error, run } = useWork();
  const id = text.trim();
  const search = () => run(async () => {
    setDataset(null);
    setFound((await get("/api/hub/datasets", { query: id })).datasets);
  });
  const open = (/** @type {string} */ wanted) => run(async () => {
    setDataset(await get("/api/hub/dataset", { id: wanted }));
    setText(wanted);
    setFound(null);
  });
  return h("div", { class: "stack" },
    h(Card, { title: "Dataset", icon: "search" }, h("div", { class: "stack" },
      h("label", { for: "dataset-text" }, "ID of a dataset on the Hugging Face hub, or words to search for"),
      h("div", { class: "setting-pair hub-search" },
        h("input", { id: "dataset-text", type: "text", autocomplete: "off", spellcheck: false, value: text,
          placeholder: "organization/dataset", "aria-describedby": "dataset-help", onInput: withValue(setText),
          onKeyDown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            if (id !== "") void search();
          } }),
        h(Button, { disabled: id === "", busy, onClick: search }, "Search the hub"),
        h(Button, { disabled: !HUB_ID.test(id) || busy, onClick: () => open(id) }, "Open")),
      h("p", { id: "dataset-help", class: "hint" }, "Searching and opening contact huggingface.co."),
      error !== null && h(Problem, { error }),
      found !== null && h(Found, { found, open, showCard }))),
    card !== null && h(HubCard, { id: card, kind: "dataset", close: () => showCard(null) }),
    dataset !== null && h(Build, { key: dataset.id, dataset, taken, showCard }));
}

/** @param {{found: readonly any[], open: (id: string) => void, showCard: (id: string) => void}} props */
function Found({ found, open, showCard }) {
  if (found.length === 0) return h("p", { role: "status" }, "No dataset on the hub matches.");
  return h("ul", { class: "hub-found", "aria-label": "Datasets found" }, found.map((one) => h("li", { key: one.id },
    h("span", { class: "model-name" }, one.id, one.gated && h(Badge, { tone: "warn" }, "Gated")),
    h("span", { class: "model-facts" }, hubFacts(one)),
    h("span", { class: "hub-actions" },
      h(Button, { small: true, "aria-label": `Card of ${one.id}`, onClick: () => showCard(one.id) }, "Card"),
      h(Button, { small: true, "aria-label": `Open ${one.id}`, onClick: () => open(one.id) }, "Open")))));
}

/** @param {{dataset: Dataset, taken: readonly string[], showCard: (id: string) => void}} props */
function Build({ dataset, taken, showCard }) {
  const { configurations } = dataset;
  const usual = configurations.find((one) => one.is_default) ?? configurations[0];
  const [configuration, setConfiguration] = useState(usual?.name ?? "");
  const splits = configurations.find((one) => one.name === configuration)?.splits ?? [];
  const [wanted, setSplit] = useState("train");
  const split = splits.find((one) => one.name === wanted) ?? splits[0];
  const [name, setName] = useState(suggestedName(dataset.id, taken));
  const [rows, setRows] = useState("");
  const [field, setField] = useState(/** @type {string|null} */ (null));
  const [options, setOptions] = useState(/** @type {Options} */ ({ ...initialOptions }));
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const { busy, error, run } = useWork();
  const { data, error: unseen } = useResource("/api/hub/dataset/rows",
    { id: dataset.id, revision: dataset.converted ? null : dataset.commit, configuration, split: split?.name });
  const beginning = /** @type {Beginning|null} */ (data);
  const texts = beginning?.fields.filter((one) => one.is_text) ?? [];
  const text = field ?? (texts.find((one) => one.name === "text") ?? texts[0])?.name ?? "text";
  const { data: known } = useResource("/api/models");
  const models = known?.models.filter((/** @type {any} */ model) => model.error === null)
    .map((/** @type {any} */ model) => ({ name: model.name, reference: model.id })) ?? null;
  useEffect(() => {
    const first = models?.[0]?.reference ?? null;
    setOptions((now) => ({ ...now, model: now.model ?? first }));
  }, [known]);
  const job = useJob(started, (ended) => {
    announce(`${ended.title}: ${ended.state}.`);
    if (ended.state === "done") navigate(`/data/${encodeURIComponent(ended.about)}`);
  });
  const wrongName = nameProblem(name, "corpus")
    || (taken.includes(name) ? `There is a corpus named ${name} already.` : "");
  const few = checkedNumber(rows, ROWS);
  const talks = options["kind"] === "conversations";
  const build = () => run(async () => {
    const wrong = unreadable(options);
    if (wrong !== null) {
      wrong.focus();
      return;
    }
    const begun = await post("/api/hub/corpora", { ...options, name, id: dataset.id,
      revision: dataset.converted ? null : dataset.commit, configuration, split: split?.name, rows: few.number,
      ...(talks ? {} : { text_field: text }) });
    noteJob(begun);
    setStarted(begun);
  });
  const again = job?.state === "failed" || job?.state === "cancelled";
  return h("div", { class: "stack" },
    h(Card, { title: dataset.id, icon: "data", actions: h(Button, { small: true, onClick: () => showCard(dataset.id) },
      "Card") }, h("div", { class: "stack dataset-form" },
      h("p", {}, "License: ", h("strong", {}, dataset.license ?? "not named by its card"),
        ` · commit ${dataset.commit.slice(0, 8)}`, dataset.converted && " · the hub's own conversion to Parquet"),
      h(KindChoice, { options, change: (next) => setOptions((now) => ({ ...now, ...next })) }),
      h("div", { class: "setting-grid" },
        h(Field, { label: "Configuration", control: (attributes) => h(Select, { ...attributes, value: configuration,
          choices: configurations.map((one) => [one.name, one.name]), onChoose: (one) => {
            setConfiguration(one);
            setField(null);
          } }) }),
        h(Field, { label: "Split", hint: split && sizeOf(split, beginning), control: (attributes) =>
          h(Select, { ...attributes, value: split?.name ?? "", choices: splits.map((one) => [one.name, one.name]),
            onChoose: setSplit }) }),
        !talks && h(Field, { label: "Text field", hint: "The field that holds the text.", control: (attributes) =>
          texts.length === 0
            ? h("input", { ...attributes, type: "text", autocomplete: "off", spellcheck: false, value: text,
                onInput: withValue(setField) })
            : h(Select, { ...attributes, value: text, choices: texts.map((one) => [one.name, one.name]),
                onChoose: setField }) }),
        h(NumberField, { label: "Rows", hint: "Empty: all. Fewer: only as much is downloaded.", limits: ROWS,
          text: rows, placeholder: "All", onText: setRows }),
        h(Field, { label: "Name of the corpus", problems: wrongName === "" ? [] : [wrongName], control: (attributes) =>
          h("input", { ...attributes, type: "text", autocomplete: "off", spellcheck: false, maxLength: 64, value: name,
            onInput: withValue(setName) }) })),
      unseen !== null && h(Problem, { error: unseen }),
      beginning === null && unseen === null && h(Skeleton, { label: "Loading the first rows…", lines: 3 }),
      !talks && h(Examples, { beginning, text }))),
    h("div", { class: "add-corpus" }, h(BuildOptions, { options, models, without: ["text_field"],
      change: (next) => setOptions((now) => ({ ...now, ...next })) })),
    error !== null && h(Problem, { error }),
    job !== null && h(JobProgress, { job }),
    h("div", { class: "form-actions" },
      h(Button, { kind: "primary", busy, onClick: build, disabled: wrongName !== "" || few.problem !== ""
        || split === undefined || (job !== null && !again && job.state !== "done") },
        again ? "Continue" : "Build the corpus"),
      h(Button, { href: "/data" }, "Cancel")));
}

/** @param {Split} split @param {Beginning|null} beginning */
function sizeOf(split, beginning) {
  const rows = split.rows ?? beginning?.rows ?? null;
  const files = `${integer(split.files)} ${split.files === 1 ? "file" : "files"}, ${bytes(split.bytes)}`;
  return rows === null ? files : `${integer(rows)} rows, ${files}`;
}

/** @param {{beginning: Beginning|null, text: string}} props */
function Examples({ beginning, text }) {
  const examples = beginning?.fields.find((one) => one.name === text)?.examples ?? [];
  if (examples.length === 0) return null;
  return h("div", { class: "dataset-examples" },
    h("h3", {}, "First rows"),
    h("ol", {}, examples.map((one, place) => h("li", { key: place }, one || "(empty)"))));
}

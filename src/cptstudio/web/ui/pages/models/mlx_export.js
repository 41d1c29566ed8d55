/** Exports for MLX: an adapter fused into a complete model, and a model quantized. */

import { post } from "../../lib/api.js";
import { bytes } from "../../lib/format.js";
import { isEnded, noteJob, useJob } from "../../lib/jobs.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { Button, Field, Problem, Select } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { Skeleton } from "../../components/placeholders.js";
import { Made } from "./proof.js";

/** @typedef {import("./words.js").Model} Model */

const TYPES = [["float32", "float32"], ["bfloat16", "bfloat16"], ["float16", "float16"]];
const GROUPS = [["32", "32: most exact"], ["64", "64"], ["128", "128: smallest"]];

/** A name for a folder. @param {string} name @param {string} ending */
export const nameFor = (name, ending) =>
  name.replace(/@step-0*/, "-").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 50)
    + `-${ending}`;

/** The problems of one field. @param {any} error @param {string} field @returns {string[]} */
const problemsOf = (error, field) => error?.fields?.[field] ?? [];

/**
 * What every export asks, its button, its progress and what came of it.
 *
 * @param {{model: Model, path: string, name: string, setName: (name: string) => void, button: string,
 *   body: () => object, options: any, onto: string, setOnto: (onto: string) => void, reload: () => Promise<void>,
 *   children?: any}} props options: of GET /api/exports/options
 */
export function ExportForm({ model, path, name, setName, button, body, options, onto, setOnto, reload, children }) {
  const { busy, error, run } = useWork();
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const job = useJob(started, () => void reload());
  const start = () => run(async () => {
    const made = await post(path, { model: model.reference, name, onto: onto || null, ...body() });
    noteJob(made);
    setStarted(made);
  });
  const packed = options.base_bits !== null && options.adapter;
  const fielded = ["name"].some((field) => problemsOf(error, field).length > 0);
  return h("form", { class: "stack", onSubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    void start();
  } },
    h("div", { class: "row" },
      h(Field, { label: "Name", problems: problemsOf(error, "name"), control: (attributes) => h("input", {
        ...attributes, type: "text", autocomplete: "off", spellcheck: false, required: true, maxLength: 64, value: name,
        onInput: withValue(setName) }) }),
      children),
    packed && h("p", { class: "notice" },
      `The base is ${options.base_bits}-bit. Its weights are unpacked: the export is larger, but no more exact. `,
      options.original !== null && options.original_here === null &&
        `Its original, ${options.original}, is not on this machine.`),
    packed && options.original_here !== null && h(Field, { label: "Put the adapter on",
      hint: "The original is more exact, but not what the adapter was trained on. The comparison shows the difference.",
      control: (attributes) => h(Select, { ...attributes, value: onto, none: "Its own base, unpacked",
        choices: [[options.original_here, options.original]], onChoose: setOnto }) }),
    error !== null && !fielded && h(Problem, { error }),
    h("p", { class: "hint" }, options.corpora.length > 0
      ? `Compared with this model on held-out text of ${options.corpora.join(", ")}.`
      : "Compared with this model on a short plain text, since no corpus of its run is here."),
    h("div", { class: "row" }, h(Button, { type: "submit", busy, disabled: name === "" }, button)),
    // While it is under way it is shown above the tabs.
    job !== null && isEnded(job) && job.state !== "done" && h(JobProgress, { job }),
    job !== null && h(Made, { job }));
}

/** @param {{model: Model, reload: () => Promise<void>}} props */
export function FuseExport({ model, reload }) {
  const { data: options, error, reload: again } = useResource("/api/exports/options", { id: model.reference });
  const [name, setName] = useState(nameFor(model.name, "fused"));
  const [dtype, setType] = useState("");
  const [onto, setOnto] = useState("");
  if (error !== null) return h(Problem, { error, retry: again });
  if (options === null) return h(Skeleton, { label: "Loading what can be chosen…", lines: 3 });
  return h("div", { class: "stack" },
    h("p", { class: "muted" }, options.adapter
      ? "One complete model of the base and its adapter, for mlx-lm, LM Studio and transformers."
      : "A copy of this complete model, for mlx-lm, LM Studio and transformers."),
    h(ExportForm, { model, path: "/api/exports/fuse", name, setName, button: options.adapter ? "Fuse" : "Export",
      body: () => ({ dtype: dtype || null }), options, onto, setOnto, reload },
      h(Field, { label: "Type", control: (attributes) => h(Select, { ...attributes, value: dtype, choices: TYPES,
        none: `The base's${options.base_dtype ? ` (${options.base_dtype})` : ""}`, onChoose: setType }) })));
}

/** @param {{model: Model, reload: () => Promise<void>}} props */
export function QuantizeExport({ model, reload }) {
  const { data: options, error, reload: again } = useResource("/api/exports/options", { id: model.reference });
  const [typed, setName] = useState(/** @type {string|null} */ (null));
  const [chosen, choose] = useState("4-bit (groups of 64)");
  const [groups, setGroups] = useState("64");
  const [onto, setOnto] = useState("");
  if (error !== null) return h(Problem, { error, retry: again });
  if (options === null) return h(Skeleton, { label: "Loading what can be chosen…", lines: 3 });
  const way = options.packings.find((/** @type {any} */ one) => one.words === chosen) ?? options.packings[0];
  const plain = way.packing.mode === "affine";
  const shortWords = (/** @type {any} */ one) => one.words.replace(" (groups of 64)", "");
  // What is offered is told for groups of 64, of which each has 32 bits of scale and offset.
  const bitsOf = (/** @type {any} */ one) =>
    one.bits_per_weight + (one.packing.mode === "affine" ? 32 / Number(groups) - 32 / 64 : 0);
  const size = (/** @type {any} */ one) => (model.parameters === null ? ""
    : `, about ${bytes(model.parameters * bitsOf(one) / 8)}`);
  const name = typed ?? nameFor(model.name, shortWords(way).replace("-bit", "bit"));
  return h("div", { class: "stack" },
    h("p", { class: "muted" }, "Fewer bits per weight: smaller and faster in MLX. What that costs is measured."),
    h(ExportForm, { model, path: "/api/exports/quantize", name, setName, button: "Quantize",
      body: () => ({ ...way.packing, group_size: plain ? Number(groups) : null }), options, onto, setOnto, reload },
      h(Field, { label: "Weights", control: (attributes) => h(Select, { ...attributes, value: chosen, onChoose: choose,
        choices: options.packings.map((/** @type {any} */ one) => [one.words, `${shortWords(one)}${size(one)}`]) }) }),
      plain && h(Field, { label: "Group size", control: (attributes) => h(Select, { ...attributes, value: groups,
        choices: GROUPS, onChoose: setGroups }) })));
}

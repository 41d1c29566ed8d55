/** Exports as GGUF files for llama.cpp, Ollama and LM Studio, and the converter that makes them. */

import { del, post } from "../../lib/api.js";
import { bytes } from "../../lib/format.js";
import { isEnded, noteJob, useJob } from "../../lib/jobs.js";
import { h, useState } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { confirm } from "../../components/dialog.js";
import { Button, Field, Problem, Select } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { Skeleton } from "../../components/placeholders.js";
import { Table } from "../../components/table.js";
import { ExportForm, nameFor } from "./mlx_export.js";

/** @typedef {import("./words.js").Model} Model */
/**
 * @typedef {object} Converter
 * @property {boolean} ready
 * @property {string} why
 * @property {number} download
 * @property {number|null} bytes
 * @property {{package: string, version: string, license: string, size: number}[]} packages
 * @property {{type: string, bits: number, help: string}[]} types
 * @property {boolean} lm_studio
 * @property {boolean} ollama
 */

const PACKAGE_COLUMNS = [
  { id: "package", title: "Package", header: true, cell: (/** @type {any} */ one) => one.package },
  { id: "version", title: "Version", cell: (/** @type {any} */ one) => one.version },
  { id: "license", title: "License", cell: (/** @type {any} */ one) => one.license },
  { id: "size", title: "Size", number: true, cell: (/** @type {any} */ one) => bytes(one.size) },
];

/** What is downloaded, and the button that does. @param {{found: Converter, again: () => Promise<void>}} props */
function Install({ found, again }) {
  const { busy, error, run } = useWork();
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const job = useJob(started, () => void again());
  const install = () => run(async () => {
    const made = await post("/api/exports/converter", { agreed: true });
    noteJob(made);
    setStarted(made);
  });
  const size = bytes(found.download);
  return h("div", { class: "stack" },
    h("p", null, found.why, found.packages.length > 0 &&
      " It is llama.cpp's own, with PyTorch, in a Python environment of this workspace. "
        + "Each file is pinned by its hash."),
    found.packages.length > 0 && h("details", null,
      h("summary", null, `${found.packages.length} packages, ${size} to download`),
      h(Table, { caption: "Packages of the converter", columns: PACKAGE_COLUMNS, rowKey: (one) => one.package,
        rows: [...found.packages].sort((one, other) => other.size - one.size) })),
    error !== null && h(Problem, { error }),
    found.packages.length > 0 && (job === null || isEnded(job)) && h("div", { class: "row" },
      h(Button, { busy, onClick: install }, `Install (${size})`)),
    job !== null && job.state !== "done" && h(JobProgress, { job }));
}

/** @param {{model: Model, reload: () => Promise<void>}} props */
export function GgufExport({ model, reload }) {
  const { data: options, error, reload: again } = useResource("/api/exports/options", { id: model.reference });
  const { data: found, error: failed, reload: look } = useResource("/api/exports/converter");
  const [typed, setName] = useState(/** @type {string|null} */ (null));
  const [type, setType] = useState("Q8_0");
  const [onto, setOnto] = useState("");
  if (error !== null || failed !== null) {
    return h(Problem, { error: error ?? failed, retry: error !== null ? again : look });
  }
  if (options === null || found === null) return h(Skeleton, { label: "Loading what can be chosen…", lines: 3 });
  const intro = h("p", { class: "muted" },
    "One file for llama.cpp, Ollama and LM Studio. llama.cpp loads it again and is compared with this model.");
  if (!found.ready) return h("div", { class: "stack" }, intro, h(Install, { found, again: look }));
  const remove = async () => {
    const done = await confirm({ title: "Remove the converter?", confirm: "Remove", danger: true,
      body: `${bytes(found.bytes ?? 0)} become free. Exports stay; the next one needs the converter again.`,
      action: () => del("/api/exports/converter") });
    if (done) await look();
  };
  const size = (/** @type {{bits: number}} */ one) => (model.parameters === null ? ""
    : `, about ${bytes(model.parameters * one.bits / 8)}`);
  const chosen = found.types.find((/** @type {any} */ one) => one.type === type) ?? found.types[0];
  return h("div", { class: "stack" }, intro,
    h(ExportForm, { model, path: "/api/exports/gguf", name: typed ?? nameFor(model.name, type), setName,
      button: "Make the file", body: () => ({ type }), options, onto, setOnto, reload },
      h(Field, { label: "Type", hint: chosen.help, control: (attributes) => h(Select, { ...attributes, value: type,
        choices: found.types.map((/** @type {any} */ one) => [one.type, `${one.type}${size(one)}`]),
        onChoose: setType }) })),
    h("p", { class: "hint" }, `The converter takes ${bytes(found.bytes ?? 0)}. `,
      h(Button, { small: true, onClick: remove }, "Remove the converter")));
}

/** Where an export can go from here. @param {{model: Model, reload: () => Promise<void>}} props */
export function GgufPlaces({ model }) {
  const { data: found, error, reload } = useResource("/api/exports/converter");
  const { busy, error: failed, run } = useWork();
  const [told, tell] = useState("");
  if (error !== null) return h(Problem, { error, retry: reload });
  if (found === null) return h(Skeleton, { label: "Looking for LM Studio and Ollama…", lines: 2 });
  const put = (/** @type {string} */ where, /** @type {(place: string) => string} */ words) => run(async () => {
    const { place } = await post(`/api/exports/${encodeURIComponent(model.name)}/${where}`, {});
    tell(words(place));
  });
  return h("div", { class: "stack" },
    !found.lm_studio && !found.ollama && h("p", { class: "muted" },
      "Neither LM Studio nor Ollama was found on this machine. The folder of the export has all they need."),
    h("div", { class: "row" },
      found.lm_studio && h(Button, { busy,
        onClick: () => put("lm-studio", (place) => `LM Studio has it in ${place}.`) }, "Put into LM Studio"),
      found.ollama && h(Button, { busy, onClick: () => put("ollama", (place) => `Ollama has it: ollama run ${place}`) },
        "Give to Ollama")),
    failed !== null && h(Problem, { error: failed }),
    told !== "" && h("p", { role: "status", class: "break" }, told));
}

/** Who writes: templates, a model of this machine, or an endpoint whose host was confirmed. */

import { Button, Field, Select } from "../../components/elements.js";
import { Segmented } from "../../components/segmented.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { AddEndpoint } from "./add_endpoint.js";

/** @typedef {{kind: "templates"|"model"|"endpoint", model: string|null, endpoint: string|null}} Writer */

const KINDS = /** @type {const} */ ([["templates", "Templates"], ["model", "Model on this machine"],
  ["endpoint", "Endpoint"]]);
const MEANS = {
  templates: "Rules reword single English sentences. Quick, true to the source, and poor in words; for trying things "
    + "out.",
  model: "An instruct model of this machine. Nothing leaves it. Models below a billion parameters write badly.",
  endpoint: "An OpenAI-compatible service or server. It gets the passages of your training documents.",
};

/** What is missing of a writer, "" if nothing. @param {Writer} writer */
export function writerProblem(writer) {
  if (writer.kind === "templates") return "";
  if (writer.kind === "endpoint" && !writer.endpoint) return "Choose an endpoint.";
  return writer.model ? "" : "Choose the model that writes.";
}

/** @param {{writer: Writer, change: (writer: Writer) => void}} props */
export function WriterChoice({ writer, change }) {
  return h("div", { class: "stack" },
    h("div", { class: "setting" },
      h("span", { class: "setting-label" }, "Writer"),
      h(Segmented, { label: "Writer", value: writer.kind, choices: KINDS,
        onChoose: (kind) => change({ kind: /** @type {Writer["kind"]} */ (kind), model: null, endpoint: null }) }),
      h("p", { class: "hint" }, MEANS[writer.kind])),
    writer.kind === "model" && h(LocalModel, { writer, change }),
    writer.kind === "endpoint" && h(Endpoint, { writer, change }));
}

/** @param {{writer: Writer, change: (writer: Writer) => void}} props */
function LocalModel({ writer, change }) {
  const { data } = useResource("/api/evaluation/models");
  const models = data?.models.filter((/** @type {any} */ one) => !one.error && one.chat !== false) ?? [];
  return h("div", { class: "setting-grid" },
    h(Field, { label: "Model", hint: "Models with a chat template.", control: (attributes) => h(Select, { ...attributes,
      value: writer.model ?? "", none: models.length === 0 ? "No model with a chat template" : "Choose a model",
      choices: models.map((/** @type {any} */ one) => [one.reference, one.label]),
      onChoose: (model) => change({ ...writer, model: model || null }) }) }));
}

/** @param {{writer: Writer, change: (writer: Writer) => void}} props */
function Endpoint({ writer, change }) {
  const { data, reload } = useResource("/api/remote-endpoints");
  const [adding, setAdding] = useState(false);
  const known = data?.endpoints ?? [];
  const key = known.find((/** @type {any} */ one) => one.id === writer.endpoint);
  return h("div", { class: "stack" },
    h("div", { class: "setting-grid" },
      h(Field, { label: "Endpoint", hint: key && keyWords(key), control: (attributes) => h(Select, { ...attributes,
        value: writer.endpoint ?? "", none: known.length === 0 ? "No endpoint confirmed yet" : "Choose an endpoint",
        choices: known.map((/** @type {any} */ one) => [one.id, one.address]),
        onChoose: (endpoint) => change({ ...writer, endpoint: endpoint || null }) }) }),
      h(Field, { label: "Model", hint: "As the endpoint calls it.", control: (attributes) => h("input", { ...attributes,
        type: "text", autocomplete: "off", spellcheck: false, maxLength: 200, value: writer.model ?? "",
        onInput: withValue((model) => change({ ...writer, model: model || null })) }) })),
    h("div", { class: "row" }, h(Button, { small: true, onClick: () => setAdding(true) }, "Add an endpoint…")),
    adding && h(AddEndpoint, { close: () => setAdding(false), added: (endpoint) => {
      setAdding(false);
      void reload();
      change({ ...writer, endpoint: endpoint.id });
    } }));
}

/** @param {any} endpoint */
function keyWords(endpoint) {
  const key = endpoint.key === "environment" ? `Key from ${endpoint.variable}.`
    : endpoint.key === "keyring" ? "Key from the system's keyring." : "No key.";
  return `${key} Confirmed ${endpoint.confirmed.slice(0, 10)}.`;
}

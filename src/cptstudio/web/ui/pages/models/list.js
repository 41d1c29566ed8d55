/** All models of this machine. */

import { bytes, count, date, integer } from "../../lib/format.js";
import { runsChanged } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { Stat, Stats } from "../../components/figures.js";
import { Card, PageHeader } from "../../components/layout.js";
import { Empty, Skeleton } from "../../components/placeholders.js";
import { Table } from "../../components/table.js";
import { addressOf, KINDS, weightsOf } from "./words.js";

/** @typedef {import("./words.js").Model} Model */

export function ModelList() {
  const { data, error, reload } = useResource("/api/models/all", undefined, runsChanged.value.count);
  const models = /** @type {Model[]|null} */ (data?.models ?? null);
  const some = models !== null && models.length > 0;
  const getOne = h(Button, { kind: "primary", icon: "download", href: "/models?get=1" }, "Get a model");
  return h("div", { class: "stack" },
    h(PageHeader, { title: "Models" }, some && getOne),
    error !== null && h(Problem, { error, retry: reload }),
    models === null && error === null && h(Skeleton, { label: "Loading the models…", lines: 6 }),
    models !== null && models.length === 0 && h(Empty, { title: "No models yet", icon: "models", ghost: "table",
      actions: getOne },
      h("p", {}, "Base models, checkpoints, merges and exports will be rows here, with their size and where they came "
        + "from.")),
    some && h(DiskUse, { data }),
    some && h(Card, { flush: true, class: "card-table" }, h(Models, { models })));
}

/** @param {{data: any}} props */
function DiskUse({ data }) {
  return h(Stats, {},
    h(Stat, { title: "Disk use", icon: "disk", value: bytes(data.bytes), note: `${bytes(data.free)} free` }),
    data.use.filter((/** @type {any} */ one) => one.count > 0).map((/** @type {any} */ one) =>
      h(Stat, { key: one.kind, title: KINDS[one.kind], value: bytes(one.bytes), note: integer(one.count) })));
}

/** @param {{models: Model[]}} props */
function Models({ models }) {
  return h(Table, { caption: "All models", stacks: true, rows: models,
    rowKey: (/** @type {Model} */ model) => model.reference,
    columns: [
      { id: "name", title: "Model", header: true, class: "model-cell", cell: (/** @type {Model} */ model) => [
        h("a", { key: "name", href: addressOf(model.reference) }, model.name),
        model.error !== null && h(Badge, { key: "error", tone: "bad", icon: "alert", title: model.error },
          "Can't be used")] },
      { id: "kind", title: "Kind", cell: (/** @type {Model} */ model) => KINDS[model.kind] },
      { id: "architecture", title: "Architecture", cell: (/** @type {Model} */ model) => model.architecture ?? "" },
      { id: "parameters", title: "Parameters", number: true,
        cell: (/** @type {Model} */ model) => count(model.parameters) },
      { id: "weights", title: "Weights", cell: weightsOf },
      { id: "context", title: "Context", number: true,
        cell: (/** @type {Model} */ model) => integer(model.context_length) },
      { id: "license", title: "License", cell: (/** @type {Model} */ model) => model.license ?? "" },
      { id: "bytes", title: "Size", number: true, cell: (/** @type {Model} */ model) => bytes(model.bytes) },
      { id: "created", title: "Created", cell: (/** @type {Model} */ model) => date(model.created) },
    ] });
}

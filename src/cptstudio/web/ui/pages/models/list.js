/** All models of this machine: how much of the disk they take, and a row each. */

import { bytes, integer } from "../../lib/format.js";
import { h, useMemo, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { Button, Problem, Select } from "../../components/elements.js";
import { Stat, Stats } from "../../components/figures.js";
import { Card, PageHeader, Toolbar } from "../../components/layout.js";
import { Empty, Skeleton } from "../../components/placeholders.js";
import { CheckpointTable } from "./checkpoint_table.js";
import { ModelTable } from "./model_table.js";
import { modelsChanged } from "./changes.js";
import { chosenModels, listQuery, SORT_WORDS } from "./query.js";
import { ServedModels } from "./serve.js";
import { PLURALS } from "./words.js";

/** @typedef {import("./words.js").Model} Model */
/** @typedef {{kind: string, count: number, bytes: number}} Use */

export function ModelList() {
  const { data, error, reload } = useResource("/api/models/all", undefined, modelsChanged());
  const models = /** @type {Model[]|null} */ (data?.models ?? null);
  const some = models !== null && models.length > 0;
  const getOne = h(Button, { kind: "primary", icon: "download", href: "/models?get=1" }, "Get a model");
  return h("div", { class: "stack" },
    h(PageHeader, { title: "Models" }, some && getOne),
    error !== null && h(Problem, { error, retry: reload }),
    models === null && error === null && h(Skeleton, { label: "Loading models…", lines: 6 }),
    models !== null && models.length === 0 && h(Empty, { title: "No models yet", icon: "models", ghost: "table",
      actions: getOne },
      h("p", {}, "Base models, checkpoints, merges, and exports appear here with their size, license, and "
        + "origin."),
      h("p", {}, "Start with a recommended model that fits this machine, or search the Hugging Face Hub.")),
    h(ServedModels, {}),
    some && h(DiskUse, { data }),
    some && h(AllModels, { models, use: data.use }));
}

/** @param {{data: {bytes: number, free: number, use: Use[]}}} props */
function DiskUse({ data }) {
  return h(Stats, {},
    h(Stat, { title: "Disk use", icon: "disk", value: bytes(data.bytes), note: `${bytes(data.free)} free` }),
    data.use.filter((one) => one.count > 0).map((one) =>
      h(Stat, { key: one.kind, title: PLURALS[one.kind], value: bytes(one.bytes),
        note: one.count === 1 ? "1 model" : `${integer(one.count)} models` })));
}

/** @param {{models: Model[], use: Use[]}} props */
function AllModels({ models, use }) {
  const chosen = useMemo(() => chosenModels(models), [models, route.value.query]);
  const checkpoints = chosen.filter((model) => model.kind === "checkpoint");
  const others = chosen.filter((model) => model.kind !== "checkpoint");
  const clear = h(Button, { small: true, onClick: () => setQuery({ filter: null, kind: null, architecture: null }) },
    "Clear filters");
  return h("div", { class: "stack" },
    h(Choices, { models, use }),
    chosen.length === 0 && h(Card, {}, h("p", { role: "status" }, "No models match the filters. ", clear)),
    others.length > 0 && h(Card, { flush: true, class: "card-table" }, h(ModelTable, { models: others })),
    checkpoints.length > 0 && h("section", { class: "stack", "aria-labelledby": "checkpoints-title" },
      h("h2", { id: "checkpoints-title" }, "Checkpoints ", h("span", { class: "muted" }, integer(checkpoints.length))),
      h(Card, { flush: true, class: "card-table" }, h(CheckpointTable, { checkpoints }))));
}

/** @param {{models: Model[], use: Use[]}} props */
function Choices({ models, use }) {
  const { filter, kind, architecture, sort, turned, descending } = listQuery();
  const architectures = [...new Set(models.flatMap((model) => model.architecture ?? []))].sort();
  return h(Toolbar, { label: "Filters" },
    h("input", { type: "search", class: "filter", placeholder: "Filter by name, type, or license", value: filter,
      "aria-label": "Filter models", onInput: withValue((text) => setQuery({ filter: text })) }),
    h(Select, { "aria-label": "Kind", value: kind, none: "All kinds", onChoose: (name) => setQuery({ kind: name }),
      choices: use.filter((one) => one.count > 0).map((one) => [one.kind, `${PLURALS[one.kind]} (${one.count})`]) }),
    architectures.length > 1 && h(Select, { "aria-label": "Architecture", value: architecture,
      none: "All architectures", choices: architectures.map((one) => [one, one]),
      onChoose: (name) => setQuery({ architecture: name }) }),
    // Cards have no heads to sort by.
    h("span", { class: "narrow-only" }, h("span", { class: "row" },
      h(Select, { "aria-label": "Sort by", value: sort, choices: SORT_WORDS,
        onChoose: (name) => setQuery({ sort: name === "created" ? null : name, turned: null }) }),
      h(Button, { small: true, icon: descending ? "down" : "up", "aria-label": descending ? "Descending" : "Ascending",
        onClick: () => setQuery({ turned: turned ? null : "1" }) }))));
}

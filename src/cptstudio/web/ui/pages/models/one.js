/** One model: its sections, and the jobs on it. */

import { ApiError } from "../../lib/api.js";
import { isEnded } from "../../lib/jobs.js";
import { jobs } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { navigate, route, setQuery } from "../../lib/router.js";
import { toastError } from "../../components/announce.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { PageHeader } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { JobProgress } from "../../components/progress.js";
import { Tabs } from "../../components/tabs.js";
import { modelsChanged } from "./changes.js";
import { remove } from "./actions.js";
import { SECTIONS } from "./sections.js";
import { addressOf, KINDS, placesToUse } from "./words.js";

/** @typedef {import("./words.js").Model} Model */
/** @typedef {import("./words.js").ModelDetail} ModelDetail */

/** @param {{reference: string}} props */
export function OneModel({ reference }) {
  const { data, error, reload } = useResource("/api/models/one", { id: reference }, modelsChanged());
  const one = /** @type {ModelDetail|null} */ (data);
  const model = one?.model ?? null;
  const missing = error instanceof ApiError && error.status === 404;
  const sections = one === null ? [] : SECTIONS.filter((section) => section.wanted(one.model, one));
  const { id: chosen, Content } = sections.find((section) => section.id === route.value.query["tab"])
    ?? sections[0] ?? SECTIONS[0];
  return h("div", { class: "stack" },
    h(PageHeader, { title: h("span", { class: "name" }, model?.name ?? reference),
      back: { href: "/models", title: "Models" }, badge: model && h(Badge, {}, KINDS[model.kind]) },
      model !== null && h(Actions, { model })),
    error !== null && h(Problem, { error, retry: missing ? undefined : reload }),
    model === null && error === null && h(Skeleton, { label: "Loading…", lines: 6 }),
    model !== null && h(ModelJobs, { reference }),
    one !== null && model !== null && h(Tabs, { label: `Sections of ${model.name}`, tabs: sections, chosen,
      onChoose: (id) => setQuery({ tab: id === "overview" ? null : id }, { push: true }) },
      h(Content, { model, one, reload })));
}

/** @param {{model: Model}} props */
function Actions({ model }) {
  const { playground, evaluate, train } = placesToUse(model);
  const gone = () => navigate("/models");
  const back = () => navigate(addressOf(model.reference));
  const onDelete = () => void remove(model, back).then((done) => done && gone()).catch(toastError);
  return [
    playground && h(Button, { key: "playground", kind: "primary", icon: "playground", href: playground },
      "Open in Playground"),
    train && h(Button, { key: "train", icon: "new", href: train }, "Train"),
    evaluate && h(Button, { key: "evaluate", icon: "evaluate", href: evaluate }, "Evaluate"),
    model.place === "workspace" && h(Button, { key: "delete", kind: "danger", icon: "trash", onClick: onDelete },
      "Delete…"),
    model.place === "folder" && h(Button, { key: "forget", onClick: onDelete }, "Remove from list…"),
  ];
}

/** Jobs on a model that are under way. @param {{reference: string}} props */
function ModelJobs({ reference }) {
  const active = Object.values(jobs.value).filter((job) =>
    job.on === "model" && job.about === reference && !isEnded(job));
  return active.map((job) => h(JobProgress, { key: job.id, job }));
}

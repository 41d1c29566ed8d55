/** One model: its sections, and the jobs on it. */

import { ApiError } from "../../lib/api.js";
import { isEnded } from "../../lib/jobs.js";
import { jobs, runsChanged } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { Badge, Problem } from "../../components/elements.js";
import { PageHeader } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { JobProgress } from "../../components/progress.js";
import { Tabs } from "../../components/tabs.js";
import { SECTIONS } from "./sections.js";
import { KINDS } from "./words.js";

/** @typedef {import("./words.js").Model} Model */

/** @param {{reference: string}} props */
export function OneModel({ reference }) {
  const { data, error, reload } = useResource("/api/models/one", { id: reference }, runsChanged.value.count);
  const model = /** @type {Model|null} */ (data?.model ?? null);
  const missing = error instanceof ApiError && error.status === 404;
  const sections = model === null ? [] : SECTIONS.filter((section) => section.wanted(model));
  const { id: chosen, Content } = sections.find((section) => section.id === route.value.query["tab"])
    ?? sections[0] ?? SECTIONS[0];
  return h("div", { class: "stack" },
    h(PageHeader, { title: h("span", { class: "name" }, model?.name ?? reference),
      back: { href: "/models", title: "Models" }, badge: model && h(Badge, {}, KINDS[model.kind]) }),
    error !== null && h(Problem, { error, retry: missing ? undefined : reload }),
    model === null && error === null && h(Skeleton, { label: "Loading the model…", lines: 6 }),
    model !== null && h(ModelJobs, { reference }),
    model !== null && h(Tabs, { label: `Sections of ${model.name}`, tabs: sections, chosen,
      onChoose: (id) => setQuery({ tab: id === "overview" ? null : id }, { push: true }) },
      h(Content, { model, reload, madeInto: data.made_into })));
}

/** Jobs on a model that are under way. @param {{reference: string}} props */
function ModelJobs({ reference }) {
  const active = Object.values(jobs.value).filter((job) =>
    job.on === "model" && job.about === reference && !isEnded(job));
  return active.map((job) => h(JobProgress, { key: job.id, job }));
}

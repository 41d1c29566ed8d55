/** Study texts: a corpus written from a corpus, so that a model meets each fact in many wordings. */

import { Badge, Problem } from "../components/elements.js";
import { Card, PageHeader } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { Table } from "../components/table.js";
import { integer } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { route } from "../lib/router.js";
import { StudyForm } from "./study/form.js";
import { StudyReport } from "./study/report.js";

export default function StudyPage() {
  const name = route.value.path.replace(/^\/study\/?/, "").replace(/\/$/, "");
  return name === "" ? h(Overview, {}) : h(StudyReport, { key: name, name });
}

function Overview() {
  const { data, error, reload } = useResource("/api/study");
  return h("div", { class: "stack" },
    h(PageHeader, { title: "Study texts", lead: "Write the passages of a corpus in many wordings: a model learns a "
      + "fact from many wordings, not from many epochs over one." }),
    error !== null && h(Problem, { error, retry: reload }),
    data === null && error === null && h(Skeleton, { label: "Loading…", lines: 6 }),
    data !== null && data.studies.length > 0 && h(Card, { title: "In this workspace", icon: "data", flush: true },
      h(Studies, { studies: data.studies })),
    data !== null && h(StudyForm, { strategies: data.strategies, studies: data.studies }));
}

/** @param {{studies: any[]}} props */
function Studies({ studies }) {
  const number = (/** @type {number|null} */ value) => (value === null ? "–" : integer(value));
  return h(Table, { caption: "Study texts", rows: studies, rowKey: (row) => row.name, stacks: true, columns: [
    { id: "name", title: "Name", label: "Name", header: true, class: "break",
      cell: (row) => h("a", { href: `/study/${encodeURIComponent(row.name)}` }, row.name) },
    { id: "corpus", title: "Made of", label: "Made of", class: "break", cell: (row) => row.corpus ?? row.problem },
    { id: "writer", title: "Writer", label: "Writer", class: "break", cell: (row) => row.writer ?? "–" },
    { id: "written", title: "Written", label: "Written", number: true, cell: (row) => number(row.written) },
    { id: "kept", title: "Kept", label: "Kept", number: true, cell: (row) => number(row.kept) },
    { id: "state", title: "Corpus", label: "Corpus", cell: (row) => (row.built
      ? h("a", { href: `/data/${encodeURIComponent(row.name)}` }, "Open")
      : h(Badge, {}, "Not built yet")) },
  ] });
}

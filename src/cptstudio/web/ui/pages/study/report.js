/** One corpus of study texts: what was kept and dropped, by strategy, with examples. */

import { Badge, Button, Problem } from "../../components/elements.js";
import { Stat, Stats } from "../../components/figures.js";
import { Card, PageHeader } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { JobProgress } from "../../components/progress.js";
import { Table } from "../../components/table.js";
import { post } from "../../lib/api.js";
import { count, duration, integer, percent } from "../../lib/format.js";
import { noteJob, useJob } from "../../lib/jobs.js";
import { h, useState } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { confirm } from "../../components/dialog.js";
import { Examples } from "./examples.js";
import { money } from "./plan_view.js";

/** @param {{name: string}} props */
export function StudyReport({ name }) {
  const { data, error, reload } = useResource(`/api/study/${encodeURIComponent(name)}`);
  const { data: remote } = useResource("/api/remote-endpoints");
  const [begun, setBegun] = useState(/** @type {any} */ (null));
  const { busy, error: refused, run } = useWork();
  const job = useJob(begun, () => void reload());
  const active = job !== null && (job.state === "waiting" || job.state === "running");
  const report = data?.report ?? null;
  const goOn = async () => {
    const { writer } = data;
    const known = remote?.endpoints.find((/** @type {any} */ one) =>
      [one.id, one.address, one.host].includes(writer.endpoint));
    const host = writer.kind === "endpoint" ? known?.host : null;
    if (host && !await confirm({ title: `Send passages to ${host}?`, confirm: `Send to ${host}`,
      body: `Passages of the corpus “${data.corpus}” leave this machine.` })) return;
    await run(async () => {
      const started = await post("/api/study", { name, corpus: data.corpus, settings: data.settings, writer,
        sent_to: host ?? null });
      noteJob(started);
      setBegun(started);
    });
  };
  return h("div", { class: "stack" },
    h(PageHeader, { title: h("span", { class: "name" }, name), back: { href: "/study", title: "Study texts" },
      lead: data && `Written from ${data.corpus} by ${report?.writer ?? writerWords(data.writer)}.`,
      badge: data && !data.built ? h(Badge, {}, "Not built yet") : undefined },
    data?.built && h(Button, { href: `/data/${encodeURIComponent(name)}` }, "Open the corpus"),
    data && h(Button, { kind: report?.missing > 0 || !data.built ? "primary" : "plain", busy, disabled: active,
      onClick: goOn }, report?.missing > 0 || !data.built ? "Go on writing" : "Check again")),
    (error ?? refused) !== null && h(Problem, { error: error ?? refused, retry: error ? reload : undefined }),
    data === null && error === null && h(Skeleton, { label: "Loading…", lines: 6 }),
    job !== null && job.state !== "done" && h(JobProgress, { job }),
    report !== null && h(Figures, { report }),
    report !== null && h(Examples, { report, title: "Examples" }));
}

/** @param {{report: any}} props */
function Figures({ report }) {
  const rows = Object.entries(report.strategies).map(([name, one]) => ({ name, .../** @type {any} */ (one) }));
  const words = (/** @type {Record<string, number>} */ counts) =>
    Object.entries(counts).map(([reason, number]) => `${integer(number)} ${reason}`).join(", ") || "–";
  return h(Card, { title: "What was written", icon: "edit" }, h("div", { class: "stack" },
    h(Stats, {},
      h(Stat, { title: "Kept", value: integer(report.kept), note: `of ${integer(report.written)} texts` }),
      h(Stat, { title: "Not written yet", value: integer(report.missing), note: report.stopped ?? undefined }),
      report.writer !== "templates" && h(Stat, { title: "Tokens written", value: count(report.tokens_out),
        note: `${count(report.tokens_in)} sent${report.estimated ? ", estimated" : ""}` }),
      report.writer !== "templates" && h(Stat, { title: "Time of writing", value: duration(report.seconds) }),
      report.cost !== null && h(Stat, { title: "Cost", value: money(report.cost) })),
    h(Table, { caption: "Texts by strategy", rows, rowKey: (row) => row.name, stacks: true, columns: [
      { id: "name", title: "Strategy", label: "Strategy", header: true, cell: (row) => row.name },
      { id: "written", title: "Written", label: "Written", number: true, cell: (row) => integer(row.written) },
      { id: "kept", title: "Kept", label: "Kept", number: true, cell: (row) => integer(row.kept) },
      { id: "names", title: "Names and numbers kept", label: "Names and numbers kept", number: true,
        cell: (row) => (row.kept_names_and_numbers === null ? "–" : percent(row.kept_names_and_numbers)) },
      { id: "dropped", title: "Dropped", label: "Dropped", cell: (row) => words(row.dropped) },
      { id: "flags", title: "Changed or flagged", label: "Changed or flagged", cell: (row) => words(row.flags) },
    ] }),
    h("p", { class: "hint" }, "Names and numbers kept: the share of the passages' names and numbers that kept texts "
      + "have. Pairs, timelines and lists need only some of them.")));
}

/** @param {any} writer */
const writerWords = (writer) => (writer.kind === "templates" ? "templates"
  : writer.kind === "endpoint" ? `${writer.model} at an endpoint` : writer.model);

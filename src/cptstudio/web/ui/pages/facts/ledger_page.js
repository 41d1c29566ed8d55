/** One ledger: asked, its facts, more of them, and whether it leaked. */

import { announce, toastError } from "../../components/announce.js";
import { confirm } from "../../components/dialog.js";
import { Button, Problem } from "../../components/elements.js";
import { PageHeader } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { Tabs } from "../../components/tabs.js";
import { toastDeleted } from "../../components/undo.js";
import { del } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, signal, useEffect } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { navigate, route, setQuery } from "../../lib/router.js";
import { AddFacts } from "./add.js";
import { AskLedger } from "./ask.js";
import { FactList } from "./fact_list.js";
import { LedgerJobs } from "./jobs.js";
import { LeaksOf } from "./leaks.js";

/** Counts up when work on a ledger ended well. */
const ended = signal(0);

/** @param {{name: string}} props */
export function LedgerPage({ name }) {
  const path = `/api/facts/${encodeURIComponent(name)}`;
  const { data, error, reload } = useResource(path, { limit: 1 }, ended.value);
  const { data: all } = useResource("/api/facts");
  const finished = (/** @type {any} */ job) => {
    ended.value += 1;
    if (job.kind === "facts-ask") setQuery({ tab: null, report: job.result.report });
    if (job.kind === "facts-leaks") setQuery({ tab: "leaks", report: null });
    if (job.kind === "facts-make") announce(`Made ${integer(job.result.made)} facts.`);
  };
  // A ledger that is being made is there once its first facts are.
  useEffect(() => void reload(), [ended.value]);
  const jobs = h(LedgerJobs, { name, finished });
  const head = { title: name, back: { href: "/facts", title: "Facts" } };
  if (data === null) {
    const missing = error?.status === 404;
    return h("div", { class: "stack facts-page" }, h(PageHeader, head), jobs,
      error !== null && !missing && h(Problem, { error, retry: () => void reload() }),
      missing && h("p", { class: "muted" }, "This ledger has no facts yet. If some are being made, they appear here."),
      error === null && h(Skeleton, { label: "Loading facts…", lines: 4 }));
  }
  const tab = route.value.query["tab"] ?? "answers";
  const changed = () => {
    ended.value += 1;
  };
  return h("div", { class: "stack facts-page" },
    h(PageHeader, { ...head, lead: `${counted(data.facts, "fact")} from ${counted(data.documents, "document")}` },
      h(Button, { kind: "quiet", icon: "trash", onClick: () => void remove(name) }, "Delete")),
    data.notes.map((/** @type {string} */ note) => h("p", { key: note, class: "notice notice-warn" }, note)),
    jobs,
    h(Tabs, { label: "Ledger", chosen: tab, onChoose: (id) => setQuery({ tab: id === "answers" ? null : id }), tabs: [
      { id: "answers", title: "Answers" },
      { id: "facts", title: "Facts", count: data.facts },
      { id: "add", title: "Add facts" },
      { id: "leaks", title: "Leaks" },
    ] },
      tab === "answers" && h(AskLedger, { name, empty: data.facts === 0, again: ended.value }),
      tab === "facts" && h(FactList, { name, documents: data.documents_list, changed }),
      tab === "add" && all !== null && h("div", { class: "card stack" },
        h(AddFacts, { name, missing: "", schema: all.make_schema, started: () => undefined, added: changed })),
      tab === "leaks" && h(LeaksOf, { name, again: ended.value })));
}

/** @param {number} count @param {string} what */
const counted = (count, what) => `${integer(count)} ${what}${count === 1 ? "" : "s"}`;

/** @param {string} name */
async function remove(name) {
  await confirm({ title: `Delete the ledger “${name}”?`, body: h("p", {}, "Its results stay."), confirm: "Delete",
    danger: true, action: async () => {
      try {
        const answer = await del(`/api/facts/${encodeURIComponent(name)}`, { confirmed: true });
        navigate("/facts");
        toastDeleted(`Ledger “${name}”`, answer, { back: () => navigate(`/facts/${encodeURIComponent(name)}`) });
      } catch (error) {
        toastError(error);
      }
    } });
}

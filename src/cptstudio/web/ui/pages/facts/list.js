/** All ledgers of the workspace, and a new one. */

import { Button, Empty, Field, Problem } from "../../components/elements.js";
import { PageHeader } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";
import { Table } from "../../components/table.js";
import { date, integer } from "../../lib/format.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { navigate, route, setQuery } from "../../lib/router.js";
import { AddFacts } from "./add.js";
import { wayWords } from "./words.js";

const LEAD = "Questions about your own documents: what did the model know, what has it learned, what did it forget?";

export function LedgerList() {
  const { data, error, reload } = useResource("/api/facts");
  const adding = route.value.query["add"] !== undefined;
  const ledgers = /** @type {any[] | null} */ (data?.ledgers ?? null);
  const add = h(Button, { kind: "primary", icon: "plus", href: "/facts?add=1" }, "New ledger");
  return h("div", { class: "stack facts-page" },
    h(PageHeader, adding ? { title: "New ledger", back: { href: "/facts", title: "Facts" } }
      : { title: "Facts", lead: LEAD }, !adding && ledgers !== null && ledgers.length > 0 && add),
    error !== null && h(Problem, { error, retry: () => void reload() }),
    ledgers === null && error === null && h(Skeleton, { label: "Loading ledgers…", lines: 4 }),
    ledgers !== null && adding && h(NewLedger, { taken: ledgers.map((one) => one.name), schema: data.make_schema }),
    ledgers !== null && !adding && ledgers.length > 0
      && h("div", { class: "card card-table" }, h(LedgerTable, { ledgers })),
    ledgers !== null && !adding && ledgers.length === 0 && h(Empty, { title: "No facts yet", icon: "facts",
      ghost: "table", actions: add },
      h("p", {}, "A ledger holds questions about your documents. Models are asked them and never trained on them, so "
        + "you see what continued pre-training taught, beyond what the base model knew and what it guesses."),
      h("p", {}, "Make one from a corpus in seconds, without any model, or add your own questions.")));
}

/** @param {{ledgers: any[]}} props */
function LedgerTable({ ledgers }) {
  return h(Table, { caption: "Ledgers in this workspace", stacks: true, rows: ledgers, rowKey: (row) => row.name,
    columns: [
      { id: "name", title: "Ledger", header: true, class: "break", cell: (row) =>
          h("a", { href: `/facts/${encodeURIComponent(row.name)}` }, row.name) },
      { id: "facts", title: "Facts", number: true, cell: (row) => (row.problem ? "" : integer(row.facts)) },
      { id: "documents", title: "Documents", number: true, cell: (row) => (row.problem ? "" : integer(row.documents)) },
      { id: "by", title: "Made", cell: (row) => (row.problem
        ? h("span", { class: "field-problem" }, row.problem)
        : Object.keys(row.by).map(wayWords).join(", ")) },
      { id: "created", title: "Created", cell: (row) => (row.created == null ? "" : date(row.created)) },
    ] });
}

/** @param {{taken: string[], schema: any}} props */
function NewLedger({ taken, schema }) {
  const [name, setName] = useState("");
  const problem = taken.includes(name) ? `There is a ledger ${name} already. Choose another name.`
    : name !== "" && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)
      ? "Use letters, digits, dots, underscores, or hyphens, starting with a letter or digit." : "";
  const open = () => navigate(`/facts/${encodeURIComponent(name)}`);
  return h("div", { class: "card stack" },
    h(Field, { label: "Name", problems: problem ? [problem] : [],
      control: (attributes) => h("input", { ...attributes, type: "text", autocomplete: "off", maxLength: 64,
        value: name, onInput: withValue(setName) }) }),
    h(AddFacts, { name, missing: name === "" || problem !== "" ? "Enter a name." : "", schema, started: open,
      added: open }),
    h("p", {}, h(Button, { small: true, kind: "quiet", onClick: () => setQuery({ add: null }) }, "Cancel")));
}

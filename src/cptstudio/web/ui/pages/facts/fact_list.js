/** The facts of a ledger, a page at a time, each with its wordings and its source. */

import { toastError } from "../../components/announce.js";
import { Button, Field, Select } from "../../components/elements.js";
import { PagedList } from "../../components/paged_list.js";
import { del } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { FORMS } from "./words.js";

/** @param {{name: string, documents: any[], changed: () => void}} props */
export function FactList({ name, documents, changed }) {
  const [document, setDocument] = useState("");
  const [removed, setRemoved] = useState(0);
  const remove = async (/** @type {any} */ fact) => {
    try {
      await del(`/api/facts/${encodeURIComponent(name)}/facts`, { ids: [fact.id] });
      setRemoved(removed + 1);
      changed();
    } catch (error) {
      toastError(error);
    }
  };
  return h("div", { class: "stack" },
    h("div", { class: "facts-filter" }, h(Field, { label: "Document", control: (attributes) => h(Select,
      { ...attributes, value: document, none: "All documents", onChoose: setDocument,
        choices: documents.filter((one) => one.document !== "").map((one) =>
          [one.document, `${one.document} (${integer(one.facts)})`]) }) })),
    h(PagedList, { key: removed, title: "Facts", path: `/api/facts/${encodeURIComponent(name)}`,
      query: document === "" ? {} : { document }, none: "No facts.",
      show: (page) => h("ul", { class: "fact-list" },
        page.page.map((/** @type {any} */ fact) => h("li", { key: fact.id, class: "card" },
          h(OneFact, { fact, remove: () => void remove(fact) })))) }));
}

/** @param {{fact: any, remove: () => void}} props */
function OneFact({ fact, remove }) {
  return h("article", { class: "stack fact" },
    fact.wordings.map((/** @type {any} */ one, /** @type {number} */ at) => h("div", { key: at },
      h("p", { class: "fact-text" }, h("span", { class: "tag" }, FORMS[one.form]), " ", h(Gapped, { wording: one })),
      h("p", { class: "hint" }, "Answer: ", h("strong", {}, one.answer),
        one.distractors.length > 0 && ` · not ${one.distractors.join(", ")}`))),
    h("div", { class: "spread" },
      h("p", { class: "hint break" }, [fact.document, fact.corpus].filter(Boolean).join(" · ") || "No source"),
      h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Remove the fact ${fact.wordings[0].text}`,
        onClick: remove }, "Remove")));
}

/** @param {{wording: any}} props */
function Gapped({ wording }) {
  if (wording.form !== "cloze") return wording.text;
  const [before, after] = wording.text.split("___");
  return h("span", {}, before, h("mark", { class: "fact-gap" }, wording.answer), after);
}

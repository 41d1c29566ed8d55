/** A text to score: typed, or a held-out document of a corpus. */

import { Button, Field, Problem, Select } from "../../components/elements.js";
import { bytes, integer } from "../../lib/format.js";
import { h, signal, useState, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { PagedList } from "../../components/paged_list.js";
import { useCorpora } from "./corpus_choice.js";

/** @typedef {"a" | "b"} Slot the first text and the second */

const LONGEST = 200_000;
const KEPT = "cptstudio.heat";

/** What was typed, also after a reload of this tab. */
const typed = signal(/** @type {Record<string, string>} */ (readKept()));

/** @returns {Record<string, string>} */
function readKept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {string} slot @param {string} text */
function keep(slot, text) {
  typed.value = { ...typed.value, [slot]: text };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(typed.value));
  } catch {
    // The tab's store is full: the text then only lives as long as the page.
  }
}

/** The document that the URL names for a slot. @param {string} slot */
function documentOf(slot) {
  const match = /^([^:]+):(validation|test):([0-9a-f]+)$/.exec(route.value.query[slot] ?? "");
  return match && { corpus: match[1], side: match[2], document: match[3] };
}

/** The number of a document that was named by its hash. */
const numbers = signal(/** @type {Record<string, number>} */ ({}));

/** What a slot holds, as the API takes it; null while there is nothing. @param {string} slot */
export function chosenText(slot) {
  const found = documentOf(slot);
  if (found === null) return typed.value[slot] ? { text: typed.value[slot] } : null;
  const number = /^\d{1,12}$/.test(found.document) ? Number(found.document) : numbers.value[found.document];
  return number === undefined ? null : { corpus: found.corpus, side: found.side, document: number };
}

/** @param {any} text of a score's result @param {number} at @param {number} texts */
export function nameOfText(text, at, texts) {
  return text.label || (texts > 1 ? `Text ${at + 1}` : "Text");
}

/** @param {{slot: Slot, title: string}} props */
export function TextChoice({ slot, title }) {
  const found = documentOf(slot);
  const [browsing, setBrowsing] = useState(false);
  if (found !== null) return h(ChosenDocument, { slot, title, ...found });
  const text = typed.value[slot] ?? "";
  return h("section", { class: "stack", "aria-label": title },
    h(Field, { label: title, hint: text.length > LONGEST
      ? `${integer(text.length)} characters. Use at most ${integer(LONGEST)}.`
      : "Paste or type the text to score.",
      control: (attributes) => h("textarea", { ...attributes, rows: 8, value: text, spellcheck: false,
        maxLength: LONGEST, onInput: withValue((text) => keep(slot, text)) }) }),
    h("p", {}, h(Button, { small: true, icon: "file", "aria-expanded": browsing ? "true" : "false",
      onClick: () => setBrowsing(!browsing) }, "Choose from a corpus…")),
    browsing && h(DocumentBrowser, { slot, onChosen: () => setBrowsing(false) }));
}

/** @param {{slot: Slot, title: string, corpus: string, side: string, document: string}} props */
function ChosenDocument({ slot, title, corpus, side, document }) {
  const { data, error, reload } =
    useResource(`/api/corpora/${encodeURIComponent(corpus)}/documents/${encodeURIComponent(document)}`);
  if (data !== null && !/^\d{1,12}$/.test(document) && numbers.value[document] === undefined) {
    queueMicrotask(() => { numbers.value = { ...numbers.value, [document]: data.document }; });
  }
  return h("section", { class: "chosen-text stack", "aria-label": title },
    h("div", { class: "spread" }, h("b", {}, title),
      h(Button, { small: true, onClick: () => setQuery({ [slot]: null }) }, "Change text")),
    error !== null && h(Problem, { error, retry: () => void reload() }),
    h("p", { class: "break" }, data?.label ?? document, " ",
      h("span", { class: "hint" }, `${side} split of ${corpus}${data ? `, ${bytes(data.bytes)}` : ""}`)),
    data?.shortened && h("p", { class: "hint" }, `Only its first ${integer(LONGEST)} characters are shown and scored.`),
    data && h("pre", { class: "text-preview", tabIndex: 0 }, data.text.slice(0, 600), data.text.length > 600 && "…"));
}

/** @param {{slot: Slot, onChosen: () => void}} props */
function DocumentBrowser({ slot, onChosen }) {
  const { corpora, error, reload } = useCorpora();
  const [name, setName] = useState("");
  const [side, setSide] = useState("validation");
  if (error !== null) return h(Problem, { error, retry: () => void reload() });
  const usable = (corpora ?? []).filter((one) => one.error === null);
  if (corpora !== null && usable.length === 0) return h("p", { class: "hint" }, "No corpora yet. ",
    h("a", { href: "/data?add=1" }, "Add one"), ".");
  const corpus = name || usable[0]?.name;
  const choose = (/** @type {number} */ number) => { setQuery({ [slot]: `${corpus}:${side}:${number}` }); onChosen(); };
  return h("div", { class: "stack document-browser" },
    h("div", { class: "row choose-row" },
      h(Field, { label: "Corpus",
        control: (attributes) => h(Select, { ...attributes, value: corpus, onChoose: setName,
          choices: usable.map((one) => [one.name, one.name]) }) }),
      h(Field, { label: "Split",
        control: (attributes) => h(Select, { ...attributes, value: side, onChoose: setSide,
          choices: [["validation", "validation"], ["test", "test"]] }) })),
    corpus && h(PagedList, { title: "Documents", path: `/api/corpora/${encodeURIComponent(corpus)}/documents`,
      query: { side }, none: `The ${side} split is empty.`,
      show: (page) => h("ul", { class: "document-list" },
        page.documents.map((/** @type {any} */ one) => h("li", { key: one.document },
          h("button", { type: "button", class: "document-choice", onClick: () => choose(one.document) },
            h("span", {}, h("b", { class: "break" }, one.label), " ", h("span", { class: "hint" }, bytes(one.bytes))),
            h("span", { class: "excerpt" }, one.excerpt))))) }));
}

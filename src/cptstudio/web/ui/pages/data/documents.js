/** A corpus's documents: all of them, those of a split, those that were dropped, or those with given words. */

import { bytes, integer, percent } from "../../lib/format.js";
import { Fragment, h, useEffect, useRef, useState, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { queryNumber, route, setQuery } from "../../lib/router.js";
import { Badge, Button, Problem, Select } from "../../components/elements.js";
import { Skeleton } from "../../components/placeholders.js";
import { Segmented } from "../../components/segmented.js";
import { useDocumentPage } from "./document_pages.js";
import { Conversation } from "./conversation.js";
import { InTemplate } from "./conversation_template.js";
import { GoTo } from "./go_to.js";
import { PreviewDialog } from "./preview.js";
import { REASONS, SPLITS } from "./statuses.js";

/** @typedef {import("./document_pages.js").FoundDocument} FoundDocument */
/** @typedef {import("./document_pages.js").DocumentPage} DocumentPage */

const PAUSE_MS = 350;
const MOST_MARKS = 500;

/**
 * @param {{path: string, counts: {[status: string]: number}, tokenised: boolean}} props
 * path: of the corpus's API; counts: documents by status; tokenised: it has training rows
 */
export function DocumentBrowser({ path, counts, tokenised }) {
  const query = route.value.query;
  const status = query["status"] ?? "";
  const search = query["search"] ?? "";
  const start = Math.max(0, Math.floor(queryNumber(query["start"]) ?? 0));
  const back = query["back"] !== undefined;
  const { page, error, searching, stop, goOn, again } = useDocumentPage(path, { status, search, start, back });
  const opened = queryNumber(query["document"]);
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  return h("div", { class: opened === null ? "documents" : "documents documents-open" },
    h("div", { class: "documents-list" },
      h(Controls, { status, search, counts, all }),
      error !== null && h(Problem, { error, retry: again }),
      page === null && error === null && h(Skeleton, { label: "Loading documents…", lines: 8 }),
      page !== null && h(Fragment, {},
        page.documents.length === 0 && !searching && h("p", { class: "empty-note" },
          search === "" ? "No documents." : page.full
            ? `No document ${start > 0 ? "from here on " : ""}has “${search}” in its name or text.`
            : "Nothing found yet."),
        h("ul", { class: "document-lines", "aria-label": "Documents", "aria-busy": searching ? "true" : "false" },
          page.documents.map((one) => h(DocumentLine, { key: one.document, one, current: one.document === opened }))),
        h(Searched, { page, search, searching, stop, goOn }),
        h(Pager, { page, searching, all }))),
    opened !== null && h(OpenedDocument, { key: `${path} ${opened}`, path, number: opened, count: page?.count ?? all,
      search, tokenised }));
}

/** @param {{status: string, search: string, counts: {[status: string]: number}, all: number}} props */
function Controls({ status, search, counts, all }) {
  const dropped = Object.entries(counts).filter(([name, amount]) => amount > 0 && !SPLITS.has(name));
  const inDropped = status !== "" && !SPLITS.has(status);
  /** @type {[string, string, number][]} */
  const choices = [["", "All", all], ...[...SPLITS].map(([id, title]) =>
    /** @type {[string, string, number]} */ ([id, title, counts[id] ?? 0])),
  ["dropped", "Removed", dropped.reduce((sum, [, amount]) => sum + amount, 0)]];
  const choose = (/** @type {string} */ id) => setQuery({ status: id, start: null, back: null, document: null });
  return h("div", { class: "documents-controls" },
    h(SearchField, { key: "search", search }),
    h(Segmented, { label: "Split", small: true, value: inDropped ? "dropped" : status, onChoose: choose,
      choices: choices.map(([id, title, amount]) => /** @type {const} */ ([id, h(Fragment, {}, title, " ",
        h("span", { class: "tab-count" }, integer(amount)))])) }),
    inDropped && dropped.length > 1 && h("div", { class: "row" },
      h("label", { for: "dropped-reason" }, "Reason"),
      h(Select, { id: "dropped-reason", value: status, onChoose: choose,
        choices: [["dropped", "All"],
          ...dropped.map(([name, amount]) => [name, `${REASONS.get(name) ?? name} (${integer(amount)})`])] })));
}

/** A search begins when nothing was typed for a moment. @param {{search: string}} props */
function SearchField({ search }) {
  const [text, setText] = useState(search);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => setText(search), [search]);
  return h("div", { class: "documents-search" },
    h("label", { for: "document-search", class: "visually-hidden" }, "Search names and text"),
    h("input", { id: "document-search", type: "search", autocomplete: "off", spellcheck: false, maxLength: 200,
      placeholder: "Search names and text", value: text, onInput: withValue((typed) => {
        setText(typed);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setQuery({ search: typed.trim(), start: null, back: null }), PAUSE_MS);
      }) }));
}

/** @param {{status: string, kept: boolean}} props */
function StatusBadge({ status, kept }) {
  return kept ? h(Badge, { tone: status === "train" ? "quiet" : "info" }, SPLITS.get(status) ?? status)
    : h(Badge, { tone: "warn" }, REASONS.get(status) ?? status);
}

/** @param {{one: FoundDocument, current: boolean}} props */
function DocumentLine({ one, current }) {
  return h("li", {},
    h("button", { type: "button", class: "document-line", "aria-current": current ? "true" : undefined,
      onClick: () => setQuery({ document: one.document }, { push: true }) },
      h("span", { class: "document-head" },
        h("span", { class: "document-number" }, integer(one.document + 1)),
        h("span", { class: "file-name" }, one.label),
        h(StatusBadge, { status: one.status, kept: one.kept }),
        h("span", { class: "document-size" }, bytes(one.bytes))),
      h("span", { class: "document-excerpt", dir: "auto" }, one.text.before,
        one.text.found !== "" && h("mark", {}, one.text.found), one.text.after)));
}

/**
 * How far a search is.
 * @param {{page: DocumentPage, search: string, searching: boolean, stop: () => void, goOn: () => void}} props
 */
function Searched({ page, search, searching, stop, goOn }) {
  const long = !page.full;
  if (search === "" && !long) return null;
  const looked = page.last - page.first;
  return h("div", { class: "row documents-searched" },
    h("span", { role: "status", class: "hint figures" }, searching && long
      ? `Searching… ${integer(looked)} of ${integer(page.count)} documents`
      : `${integer(page.documents.length)} found in ${integer(looked)} documents`),
    searching && long && h("progress", { "aria-label": "Search", value: looked, max: Math.max(1, page.count) }),
    searching && long && h(Button, { small: true, onClick: stop }, "Stop"),
    !searching && long && h(Button, { small: true, onClick: goOn }, "Continue search"));
}

/** @param {{page: DocumentPage, searching: boolean, all: number}} props */
function Pager({ page, searching, all }) {
  const first = page.documents[0];
  const last = page.documents.at(-1);
  if (page.first === 0 && page.last >= page.count) return null;
  return h("nav", { class: "row", "aria-label": "Documents: parts" },
    h(Button, { small: true, disabled: page.first === 0,
      onClick: () => setQuery({ start: page.first, back: true }, { push: true }) }, "Previous"),
    h("span", { role: "status", class: "figures" }, first === undefined || last === undefined ? ""
      : `${integer(first.document + 1)}–${integer(last.document + 1)} of ${integer(page.count)}`),
    h(Button, { small: true, disabled: page.last >= page.count || searching,
      onClick: () => setQuery({ start: page.last, back: null }, { push: true }) }, "Next"),
    h(GoTo, { label: "Go to document", most: all, go: (number) => setQuery({ start: number, back: null }) }));
}

/**
 * @param {{path: string, number: number, count: number, search: string, tokenised: boolean}} props
 */
function OpenedDocument({ path, number, count, search, tokenised }) {
  const { data, error, reload } = useResource(`${path}/documents/${number}`);
  const [cleaning, setCleaning] = useState(false);
  const [view, setView] = useState("turns");
  const head = useRef(/** @type {HTMLHeadingElement|null} */ (null));
  const show = (/** @type {number} */ other) => setQuery({ document: other }, { push: true });
  useEffect(() => head.current?.scrollIntoView({ block: "nearest" }), []);
  return h("section", { class: "document-opened", "aria-labelledby": "document-title" },
    h("header", { class: "document-bar" },
      h("h2", { id: "document-title", ref: head, class: "file-name" },
        data?.label ?? `Document ${integer(number + 1)}`),
      h(Button, { kind: "quiet", small: true, icon: "close", "aria-label": "Close document",
        onClick: () => setQuery({ document: null }) })),
    error !== null && h(Problem, { error, retry: reload }),
    data === null && error === null && h(Skeleton, { label: "Loading…", lines: 6 }),
    data !== null && h(Fragment, {},
      h("p", { class: "document-facts" },
        h(StatusBadge, { status: data.side, kept: SPLITS.has(data.side) }),
        h("span", { class: "hint figures" },
          `Document ${integer(number + 1)} of ${integer(count)} · ${bytes(data.bytes)}`)),
      !SPLITS.has(data.side) && h(WhyDropped, { data, show }),
      h("div", { class: "row" },
        h(Button, { small: true, disabled: number === 0, onClick: () => show(number - 1) }, "Previous document"),
        h(Button, { small: true, disabled: number + 1 >= count, onClick: () => show(number + 1) }, "Next document"),
        h(Button, { small: true, onClick: () => setCleaning(true) }, "Compare before and after cleaning"),
        tokenised && data.side === "train" && h(Button, { small: true,
          onClick: () => setQuery({ tab: "rows", document: number, row: null, start: null, back: null, status: null,
            search: null }, { push: true }) }, "Show in training sequences")),
      data.turns !== null && h(Segmented, { label: "View", small: true, value: view, onChoose: setView,
        choices: [["turns", "Turns"], ["template", "In a model's template"]] }),
      data.turns !== null && view === "template" ? h(InTemplate, { path: `${path}/documents/${number}` })
        : data.turns !== null
        ? h(Conversation, { label: data.label, turns: data.turns, tools: data.tools,
            mark: (text) => marked(text, search) })
        : h("pre", { class: "preview-text", dir: "auto", tabIndex: 0, role: "group",
            "aria-label": `Text of ${data.label}` }, marked(data.text, search)),
      data.shortened && h("p", { class: "hint" }, "Preview truncated: showing the beginning of this document.")),
    cleaning && h(PreviewDialog, { path: `${path}/documents/${number}/cleaning`, close: () => setCleaning(false) }));
}

/** @param {{data: any, show: (number: number) => void}} props */
function WhyDropped({ data, show }) {
  const kept = data.kept;
  const why = {
    "exact duplicate": "Not used for training: identical to another document.",
    "near duplicate": "Not used for training: nearly identical to another document.",
    "overlap with held-out": "Not used for training: too similar to a validation or test document, which would "
      + "skew evaluations.",
  }[/** @type {string} */ (data.side)] ?? "Not used for training.";
  return h("div", { class: "notice" }, h("p", {}, why,
    kept !== null && h(Fragment, {}, " Kept instead: ",
      kept.document === null ? h("span", { class: "file-name" }, kept.label)
        : h("button", { type: "button", class: "link", onClick: () => show(kept.document) }, kept.label),
      kept.similarity < 1 ? ` (${percent(kept.similarity)} similar).` : ".")));
}

/** A text with the words that are sought marked in it. @param {string} text @param {string} words */
function marked(text, words) {
  const sought = words.normalize("NFC").toLowerCase();
  if (sought === "") return text;
  const lower = text.toLowerCase();
  // Where lower case is longer, places in it are not those of the text.
  if (lower.length !== text.length) return text;
  const parts = [];
  let place = 0;
  for (let marks = 0; marks < MOST_MARKS; marks += 1) {
    const at = lower.indexOf(sought, place);
    if (at < 0) break;
    parts.push(text.slice(place, at), h("mark", { key: marks }, text.slice(at, at + sought.length)));
    place = at + sought.length;
  }
  return [...parts, text.slice(place)];
}

/** What a build made of each file: one line a file, opened for its counts, problems and documents. */

import { bytes, count, integer } from "../../lib/format.js";
import { get } from "../../lib/api.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { PreviewDialog } from "./preview.js";
import { statusTitle } from "./statuses.js";

/**
 * @typedef {object} FileLine
 * @property {string} label
 * @property {number} size
 * @property {number} members
 * @property {{[status: string]: number}} documents
 * @property {number} text_bytes
 * @property {number|null} first_document
 * @property {number} document_count
 * @property {number} conversations
 * @property {{[reason: string]: number}} no_conversations
 * @property {{[kind: string]: number}} private
 * @property {{[what: string]: number}} left_out by design, and so no problem
 * @property {number} recognized
 * @property {number} pictures
 * @property {string[]} problems
 * @property {number} problem_count
 * @property {string[]} asides
 * @property {number} aside_count
 * @property {boolean} skipped
 * @property {string|null} left_aside
 */

const SIDES = ["train", "validation", "test"];
const MOST_DOCUMENTS = 200;

/** @param {number} amount @param {string} one @param {string} [many] */
function amountOf(amount, one, many = `${one}s`) {
  return `${integer(amount)} ${amount === 1 ? one : many}`;
}

/** @typedef {{files: FileLine[], next: number|null, full: boolean, total: number|null}} FilePage */

const PAGE = 25;

/**
 * One expandable line a file.
 * @param {{path: string, problems?: boolean}} props path: of the corpus's API; problems: only files with problems
 */
export function FilesList({ path, problems = false }) {
  // Where this part and those before it begin.
  const [starts, setStarts] = useState([0]);
  const [shown, setShown] = useState(/** @type {string|null} */ (null));
  const start = starts[starts.length - 1] ?? 0;
  const { page, error, again } = useFiles(path, problems, start);
  if (error !== null) return h(Problem, { error, retry: again });
  if (page === null) return h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  const first = (starts.length - 1) * PAGE;
  if (first === 0 && page.full && page.files.length === 0) {
    return h("p", { class: "empty-note" }, problems ? "All files were read without problems." : "No files.");
  }
  const total = page.total ?? first + page.files.length;
  const next = page.next;
  return h("div", { class: "stack" },
    h("ul", { class: "file-lines", "aria-busy": page.full ? "false" : "true" },
      page.files.map((file) => h(File, { key: `${start} ${file.label}`, file, path, show: setShown }))),
    !page.full && h("p", { role: "status", class: "hint" }, "Searching…"),
    (first > 0 || next !== null) && h("nav", { class: "row", "aria-label": "Files: parts" },
      h(Button, { small: true, disabled: first === 0, onClick: () => setStarts(starts.slice(0, -1)) }, "Previous"),
      h("span", { role: "status", class: "figures" },
        `${integer(first + 1)}–${integer(first + page.files.length)} of ${integer(total)}`),
      h(Button, { small: true, disabled: next === null || !page.full,
        onClick: () => next !== null && setStarts([...starts, next]) }, "Next")),
    shown !== null && h(PreviewDialog, { path: shown, close: () => setShown(null) }));
}

/**
 * A part of the files, as far as it is known.
 * @param {string} path @param {boolean} problems @param {number} start
 */
function useFiles(path, problems, start) {
  const [page, setPage] = useState(/** @type {FilePage|null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    void (async () => {
      /** @type {FilePage} */
      let known = { files: [], next: start, full: false, total: null };
      while (!known.full) {
        const limit = PAGE - known.files.length;
        /** @type {FilePage} */
        const more = await get(`${path}/files`, { problems, start: known.next, limit }, abort.signal);
        known = { ...more, files: [...known.files, ...more.files] };
        setPage(known);
      }
      setError(null);
    })().catch((problem) => {
      if (!abort.signal.aborted) setError(problem);
    });
    return () => abort.abort();
  }, [path, problems, start, tries]);
  return { page, error, again: () => setTries(tries + 1) };
}

/** @param {FileLine} file */
function inWords(file) {
  if (file.left_aside !== null) return "excluded";
  const kept = SIDES.reduce((sum, side) => sum + (file.documents[side] ?? 0), 0);
  const dropped = file.document_count - kept;
  return [amountOf(kept, "document"), bytes(file.text_bytes), dropped > 0 ? `${integer(dropped)} removed` : ""]
    .filter((part) => part !== "").join(" · ");
}

/** @param {{file: FileLine, path: string, show: (path: string) => void}} props */
function File({ file, path, show }) {
  const [open, setOpen] = useState(false);
  return h("li", {},
    h("details", { class: "file-line", onToggle: (/** @type {any} */ event) => setOpen(event.currentTarget.open) },
      h("summary", {},
        h("span", { class: "file-name" }, file.label),
        file.problem_count > 0 && h(Badge, file.skipped
          ? { tone: "warn", icon: "alert" } : { tone: "info", icon: "info" },
        file.skipped ? (file.document_count > 0 ? "Partly skipped" : "Skipped") : "Read with warnings"),
        h("span", { class: "file-words" }, inWords(file)),
        file.problem_count > 0 && h("span", { class: "file-problem" }, file.problems[0],
          file.problem_count > 1 && ` (and ${integer(file.problem_count - 1)} more)`)),
      open && h(Opened, { file, path, show })));
}

/** @param {{file: FileLine, path: string, show: (path: string) => void}} props */
function Opened({ file, path, show }) {
  const [documents, setDocuments] = useState(5);
  const first = file.first_document ?? 0;
  const listed = Math.min(documents, file.document_count, MOST_DOCUMENTS);
  const facts = [
    ["File", bytes(file.size) + (file.members > 1 ? `, ${amountOf(file.members, "member")}` : "")],
    ...Object.entries(file.documents).map(([status, amount]) =>
      [statusTitle(status), amountOf(amount, "document")]),
    ...Object.entries(file.private).map(([kind, amount]) => [PRIVATE.get(kind) ?? kind, integer(amount)]),
    ...Object.entries(file.left_out).map(([what, amount]) => [`Excluded: ${what}`, integer(amount)]),
    ...(file.recognized > 0 ? [["Pages read with OCR", integer(file.recognized)]] : []),
    ...(file.pictures > 0 ? [["Image pages", integer(file.pictures)]] : []),
    ...Object.entries(file.no_conversations).map(([why, amount]) => [`Left out: ${why}`, integer(amount)]),
    ...(file.conversations > 0 ? [["Conversations", `${integer(file.conversations)}, skipped`]] : []),
  ];
  return h("div", { class: "file-opened" },
    h("dl", { class: "file-facts" }, facts.map(([name, value]) =>
      h("div", { key: name }, h("dt", {}, name), h("dd", {}, value)))),
    file.problem_count + file.aside_count > 0 && h("ul", { class: "finding-list" },
      file.problems.map((text, place) => h("li", { key: place }, text)),
      file.problem_count > file.problems.length && h("li", { key: "more" },
        `${integer(file.problem_count - file.problems.length)} more`),
      file.asides.map((text, place) => h("li", { key: `aside-${place}` }, `Excluded: ${text}`)),
      file.aside_count > file.asides.length && h("li", { key: "more-asides" },
        `${integer(file.aside_count - file.asides.length)} more excluded`)),
    listed > 0 && h("div", { class: "row" },
      Array.from({ length: listed }, (_, place) => {
        const text = file.document_count === 1 ? "Before and after cleaning" : `Document ${integer(place + 1)}`;
        return h(Button, { key: place, small: true, "aria-label": `${text} of ${file.label}`,
          onClick: () => show(`${path}/documents/${first + place}/cleaning`) }, text);
      }),
      listed < Math.min(file.document_count, MOST_DOCUMENTS) && h(Button, { small: true, kind: "quiet",
        onClick: () => setDocuments(documents + 20) }, `Show more (${count(file.document_count)} in all)`)));
}

/** What is counted in documents, by its kind. */
export const PRIVATE = new Map([["emails", "Email addresses"], ["phones", "Phone numbers"],
  ["keys", "API keys and other secrets"]]);

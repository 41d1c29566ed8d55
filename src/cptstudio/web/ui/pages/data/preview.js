/** One document before and after cleaning: what is dropped, what is masked, and why. */

import { post } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { Dialog } from "../../components/dialog.js";
import { Button, Problem } from "../../components/elements.js";
import { Tabs } from "../../components/tabs.js";

/**
 * @typedef {{kind: "kept"|"dropped"|"masked"|"found", text: string, becomes: string|null, reason: string|null,
 *   found: string|null}} Piece
 */
/**
 * @typedef {object} Preview
 * @property {string} label
 * @property {number} document
 * @property {Piece[]} pieces
 * @property {number} before characters
 * @property {number} after
 * @property {boolean} shortened
 * @property {boolean} read
 * @property {string[]} notes
 */

/** @param {{path: string, close: () => void}} props path: of the API */
export function PreviewDialog({ path, close }) {
  const { data, error, reload } = useResource(path);
  return h(Shown, { data, error, retry: reload, close });
}

/**
 * The documents of a file, one by one.
 * @param {{body: object, close: () => void}} props body: the file, and how it would be read
 */
export function SourcePreviewDialog({ body, close }) {
  const [number, setNumber] = useState(1);
  const [data, setData] = useState(/** @type {Preview|null} */ (null));
  const { busy, error, run } = useWork();
  /** @param {number} document */
  const show = (document) => run(async () => {
    setNumber(document);
    setData(null);
    setData(await post("/api/document-previews", { ...body, document }));
  });
  useEffect(() => void show(1), []);
  // Those without text are passed over.
  const here = data?.document ?? number;
  return h(Shown, { data, error: busy ? null : error, close, actions: [
    h(Button, { key: "back", disabled: busy || here <= 1, onClick: () => show(number - 1) }, "Previous document"),
    h(Button, { key: "on", disabled: busy || error !== null, onClick: () => show(here + 1) }, "Next document"),
  ] });
}

/** @param {{data: Preview|null, error: unknown, retry?: () => void, close: () => void, actions?: any[]}} props */
function Shown({ data, error, retry, close, actions }) {
  const [view, setView] = useState("both");
  return h(Dialog, { title: data === null ? "Before and after cleaning" : `${data.label}, document `
    + integer(data.document), onClose: close, wide: true, actions },
    error !== null && h(Problem, { error, retry }),
    data === null && error === null && h("p", { class: "muted", "aria-busy": "true" }, "Reading…"),
    data !== null && h("div", { class: "stack" },
      h("p", { class: "hint" }, inWords(data)),
      data.notes.length > 0 && h("ul", { class: "finding-list" },
        data.notes.map((note, place) => h("li", { key: place }, note))),
      h(Tabs, { label: "Text", chosen: view, onChoose: setView, tabs: [
          { id: "both", title: "Changes" }, { id: "before", title: "Before" }, { id: "after", title: "After" },
        ] },
        h("div", { class: "preview-text", tabIndex: 0, role: "region", "aria-label": "Text" },
          data.pieces.map((piece, place) => h(PieceText, { key: place, piece, view })),
          data.shortened && h("p", { class: "hint" }, "Preview truncated.")))));
}

/** @param {Preview} data */
function inWords(data) {
  const gone = data.pieces.filter((piece) => piece.kind === "dropped");
  const masked = data.pieces.filter((piece) => piece.kind === "masked").length;
  const found = data.pieces.filter((piece) => piece.kind === "found").length;
  const before = `${data.shortened ? "The first " : ""}${integer(data.before)} characters`;
  const parts = [`${before}, ${integer(data.after)} after cleaning`];
  if (gone.length > 0) {
    parts.push(`Removed ${gone.length === 1 ? "1 paragraph" : `${integer(gone.length)} paragraphs`}: `
      + `${gone[0]?.reason ?? "repeated"}`);
  }
  if (masked > 0) parts.push(`Masked: ${integer(masked)}`);
  if (found > 0) parts.push(`Maskable: ${integer(found)}`);
  return `${parts.join(". ")}.`;
}

/** @param {{piece: Piece, view: string}} props */
function PieceText({ piece, view }) {
  const { kind, text, becomes } = piece;
  if (kind === "dropped") {
    return view === "after" ? null : h("del", { class: "piece-dropped", title: piece.reason }, text);
  }
  if (kind === "masked") {
    return [
      view !== "after" && h("del", { key: "before", class: "piece-masked" }, text),
      view !== "before" && h("ins", { key: "after", class: "piece-mask" }, becomes),
    ];
  }
  return kind === "found" && view === "both" ? h("mark", { class: "piece-found" }, text) : text;
}

/** Files by drop or by the file dialog, with the progress of each and of all. */

import { bytes, integer } from "../../lib/format.js";
import { h, useEffect, useRef, useState } from "../../lib/preact.js";
import { Button } from "../../components/elements.js";
import { filesOfDrop, filesOfInput } from "./dropped_files.js";
import { leftAsideInWords, loadFilter } from "./left_aside.js";

/** @typedef {import("./upload_queue.js").UploadQueue} UploadQueue */
/** @typedef {import("./upload_queue.js").Upload} Upload */

/** Rows shown at once; those that need attention come first. */
const SHOWN = 50;

/** @typedef {import("./dropped_files.js").FoundFile} FoundFile */
/** @typedef {import("./left_aside.js").LeftAside} LeftAside */

/**
 * @param {{queue: UploadQueue, include: readonly string[], preview: (upload: string) => void}} props
 * include: kinds that are not left aside; preview: of an upload, by its id
 */
export function DropArea({ queue, include, preview }) {
  const [over, setOver] = useState(false);
  const [note, setNote] = useState("");
  const [leftAside, setLeftAside] = useState("");
  const files = useRef(/** @type {HTMLInputElement|null} */ (null));
  const folder = useRef(/** @type {HTMLInputElement|null} */ (null));
  // The server refuses what is left aside, so a page without the rules only says it later.
  const filter = useRef(/** @type {import("./left_aside.js").Filter|null} */ (null));
  useEffect(() => void loadFilter().then((loaded) => { filter.current = loaded; }, () => undefined), []);

  /**
   * Add files but for what is left aside; returns what to say of those that were not added.
   * @param {readonly FoundFile[]} files
   * @param {readonly LeftAside[]} skipped what was left aside before
   */
  const add = (files, skipped) => {
    const { taken, aside } = filter.current?.divide(files, include) ?? { taken: files, aside: [] };
    setLeftAside(leftAsideInWords([...skipped, ...aside]));
    return queue.add(taken, include);
  };
  /** @param {DragEvent} event */
  const drop = async (event) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer === null) return;
    /** @type {Map<string, {kind: string, reason: string}>} */
    const reasons = new Map();
    const found = await filesOfDrop(event.dataTransfer, (name, isFolder) => {
      const aside = filter.current?.ofName(name, isFolder, include) ?? null;
      if (aside !== null) reasons.set(name, aside);
      return aside !== null;
    });
    const skipped = found.skipped.map((path) =>
      ({ path, ...(reasons.get(path.split("/").at(-1) ?? "") ?? { kind: "", reason: "" }) }));
    const left = add(found.files, skipped);
    const unread = found.unreadable.length === 0 ? "" : "Your browser couldn't read "
      + `${found.unreadable.slice(0, 5).join(", ")}${found.unreadable.length > 5 ? " and more" : ""}.`;
    const nothing = found.files.length === 0 && skipped.length === 0 && unread === "" ? "No files were dropped." : "";
    setNote([left, unread, nothing].filter(Boolean).join(" "));
  };
  /** @param {Event} event */
  const take = (event) => {
    const input = /** @type {HTMLInputElement} */ (event.currentTarget);
    if (input.files !== null) setNote(add(filesOfInput(input.files), []));
    input.value = "";
  };
  return h("div", { class: "upload" },
    h("div", { class: `drop-area${over ? " drop-over" : ""}`, onDrop: drop, onDragLeave: () => setOver(false),
        onDragOver: (/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(true); } },
      h("p", {}, "Drop files or folders here, or"),
      h("div", { class: "drop-buttons" },
        h(Button, { onClick: () => files.current?.click() }, "Choose files…"),
        h(Button, { onClick: () => folder.current?.click() }, "Choose a folder…")),
      h("input", { ref: files, type: "file", multiple: true, hidden: true, "data-input": "files",
        "aria-label": "Files to upload", onChange: take }),
      h("input", { ref: folder, type: "file", multiple: true, hidden: true, "data-input": "folder",
        "aria-label": "Folder to upload", webkitdirectory: true, onChange: take })),
    note !== "" && h("p", { class: "field-problem" }, note),
    leftAside !== "" && h("p", { class: "hint", role: "status" }, leftAside),
    queue.uploads.value.length > 0 && h(Uploads, { queue, preview }));
}

/** @param {{queue: UploadQueue, preview: (upload: string) => void}} props */
function Uploads({ queue, preview }) {
  const uploads = queue.uploads.value;
  const done = queue.done.value.length;
  const failed = queue.failed.value.length;
  const order = [...uploads].sort((one, other) => rank(one) - rank(other));
  const words = `${integer(done)} of ${integer(uploads.length)} files, ${bytes(queue.sent.value)} of `
    + `${bytes(queue.total.value)}${failed > 0 ? `, ${failed} failed` : ""}`;
  return h("div", { class: "uploads" },
    h("div", { class: "uploads-total" },
      h("label", { for: "uploads-progress" }, words),
      h("progress", { id: "uploads-progress", max: Math.max(1, queue.total.value),
        value: queue.total.value === 0 ? done : queue.sent.value }),
      h(Button, { onClick: () => queue.clear() }, queue.busy.value ? "Cancel all" : "Remove all")),
    h("ul", { class: "uploads-list" },
      order.slice(0, SHOWN).map((one) => h(UploadRow, { key: one.number, queue, one, preview }))),
    uploads.length > SHOWN && h("p", { class: "hint" }, `and ${integer(uploads.length - SHOWN)} more`));
}

/** @param {Upload} one */
function rank(one) {
  return { failed: 0, sending: 1, waiting: 2, done: 3 }[one.state];
}

/** @param {{queue: UploadQueue, one: Upload, preview: (upload: string) => void}} props */
function UploadRow({ queue, one, preview }) {
  const size = bytes(one.file.size);
  const words = { waiting: `queued, ${size}`, sending: `${bytes(one.sent)} of ${size}`, done: `uploaded, ${size}`,
    failed: one.error }[one.state];
  return h("li", { class: `upload-row upload-${one.state}` },
    h("span", { class: "name" }, one.path),
    h("span", { class: one.state === "failed" ? "field-problem" : "upload-words" }, words),
    one.state === "sending" && h("progress", { "aria-label": `Upload of ${one.path}`, max: Math.max(1, one.file.size),
      value: one.sent }),
    h("span", { class: "upload-actions" },
      one.id !== null && h(Button, { "aria-label": `Preview ${one.path}`, onClick: () => preview(one.id ?? "") },
        "Preview"),
      one.state === "failed" && h(Button, { "aria-label": `Try again: ${one.path}`,
        onClick: () => queue.retry(one.number) }, "Try again"),
      h(Button, { "aria-label": `Remove ${one.path}`, onClick: () => queue.remove(one.number) }, "Remove")));
}

import { h, signal } from "../lib/preact.js";
import { Button } from "./elements.js";

/** @typedef {{words: string, keys?: string, run: () => void}} Action what a note offers; keys: what does it, too */
/** @typedef {{id: number, text: string, kind: "info" | "good" | "bad", action?: Action}} Note */

const spoken = signal("");
const notes = signal(/** @type {Note[]} */ ([]));
const NOTE_MS = 8000;
let nextId = 1;

/** Say something in the page's one polite live region: state changes only. @param {string} text */
export function announce(text) {
  // The same words twice would not be read again.
  spoken.value = spoken.value === text ? `${text}\u00a0` : text;
}

/**
 * Show a note for a while, and say it.
 *
 * @param {string} text
 * @param {Note["kind"]=} kind a "bad" one stays until it is closed
 * @param {{action?: Action, seconds?: number}=} more seconds: how long it is shown
 * @returns {() => void} closes it
 */
export function toast(text, kind = "good", { action, seconds } = {}) {
  const note = { id: nextId, text, kind, action };
  nextId += 1;
  notes.value = [...notes.value, note];
  announce(action ? `${text} ${action.words}${action.keys ? `: ${action.keys}` : ""}` : text);
  if (kind !== "bad") setTimeout(() => close(note.id), seconds ? seconds * 1000 : NOTE_MS);
  return () => close(note.id);
}

/** Show why something failed. @param {unknown} error */
export const toastError = (error) => toast(error instanceof Error ? error.message : String(error), "bad");

/**
 * What a button does that copies a text. Without permission for the clipboard what shows it is selected, so that the
 * keyboard can copy it: the nearest `pre` in an element with `data-copied`.
 *
 * @param {() => string} text
 */
export const copying = (text) => async (/** @type {Event} */ event) => {
  const shown = /** @type {Element} */ (event.currentTarget).closest("[data-copied]")?.querySelector("pre");
  try {
    await navigator.clipboard.writeText(text());
    toast("Copied.");
  } catch {
    if (shown) getSelection()?.selectAllChildren(shown);
    toast(`Your browser blocked copying${shown ? ". The text is selected; copy it with the keyboard" : ""}.`,
      "bad");
  }
};

/** @param {number} id */
function close(id) {
  notes.value = notes.value.filter((note) => note.id !== id);
}

/** The live region and the notes; the shell has it once. */
export function Announcements() {
  return [
    h("div", { class: "visually-hidden", role: "status", "aria-live": "polite", key: "spoken" }, spoken.value),
    h("div", { class: "toasts", key: "notes", role: notes.value.length ? "region" : undefined,
      "aria-label": notes.value.length ? "Notes" : undefined },
      notes.value.map((note) =>
        h("div", { class: `toast toast-${note.kind}`, key: note.id },
          h("span", {}, note.text),
          note.action && h(Button, { small: true, icon: "undo", onClick: note.action.run,
            title: note.action.keys }, note.action.words),
          h(Button, { kind: "quiet", small: true, icon: "close", "aria-label": "Dismiss",
            onClick: () => close(note.id) })))),
  ];
}

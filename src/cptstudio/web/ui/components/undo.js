/** Deletions that can be undone for a while: by the note that tells of them, and by the keyboard. */
import { post } from "../lib/api.js";
import { runsChanged } from "../lib/live.js";
import { toast, toastError } from "./announce.js";

/** @typedef {{undo: string | null, seconds: number}} Deleted what the server answers to a deletion */
/** @typedef {{ids: string[], until: number, what: string, back: () => void, close: () => void}} Undoable */

/** The last one comes back first. @type {Undoable[]} */
const undoables = [];

export const UNDO_KEYS = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘Z" : "Ctrl+Z";

/**
 * Tell that something was deleted, and offer to undo it.
 *
 * @param {string} what such as "The run “first”"
 * @param {Deleted | Deleted[]} answers what the server said; several are undone together
 * @param {{back?: () => void, deed?: string}=} more back: called when it is back, to show it; deed: "deleted"
 */
export function toastDeleted(what, answers, { back = () => undefined, deed = "deleted" } = {}) {
  const all = [answers].flat();
  const ids = all.flatMap((one) => one?.undo ?? []);
  const seconds = Math.min(...all.flatMap((one) => one?.undo ? one.seconds : []));
  if (!ids.length) {
    toast(`${what} ${deed}. The disk is full, so this can't be undone.`);
    return;
  }
  /** @type {Undoable} */
  const one = { ids, until: Date.now() + seconds * 1000, what, back, close: () => undefined };
  one.close = toast(`${what} ${deed}.`, "good",
    { seconds, action: { words: "Undo", keys: UNDO_KEYS, run: () => void undo(one) } });
  undoables.push(one);
}

/** @param {Undoable} one */
async function undo(one) {
  const at = undoables.indexOf(one);
  if (at < 0) return;
  undoables.splice(at, 1);
  one.close();
  let restored = 0;
  for (const id of one.ids) {
    await post(`/api/trash/${id}/restore`, {}).then(() => { restored += 1; }, toastError);
  }
  if (!restored) return;
  toast(restored === one.ids.length ? `${one.what} restored.` : `${restored} of ${one.ids.length} restored.`);
  runsChanged.value = { count: runsChanged.value.count + 1, changed: [] };
  one.back();
}

addEventListener("keydown", (event) => {
  const wanted = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
  const busy = event.target instanceof Element
    && event.target.closest("input:not([type=checkbox], [type=radio]), textarea, [contenteditable], dialog");
  if (!wanted || busy || event.defaultPrevented) return;
  while (undoables.length && undoables[undoables.length - 1].until < Date.now()) undoables.pop();
  const last = undoables[undoables.length - 1];
  if (last) {
    event.preventDefault();
    void undo(last);
  }
});

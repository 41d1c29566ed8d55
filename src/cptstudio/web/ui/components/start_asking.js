/** Starting a run that may need more than there is: the server asks, and so does the page. */

import { ApiError, post } from "../lib/api.js";
import { bytes } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { confirm } from "./dialog.js";

/**
 * @typedef {{memory_bytes: number, memory_available_bytes: number, disk_needed_bytes: number,
 *   disk_free_bytes: number}} Needs
 */

/**
 * Post what starts a run; where it does not fit, ask with the numbers and start it anyway.
 * @param {string} path @param {{[name: string]: any}} body
 * @returns {Promise<any>} the run; null where the user would rather not
 */
export async function startAsking(path, body) {
  try {
    return await post(path, body);
  } catch (error) {
    if (!(error instanceof ApiError) || error.needs === null) throw error;
    let answer = null;
    await confirm({
      title: "This run won't fit. Start anyway?",
      body: h(NeedsTable, { needs: error.needs }),
      confirm: "Start anyway",
      cancel: "Cancel",
      danger: true,
      action: async () => { answer = await post(path, { ...body, anyway: true }); },
    });
    return answer;
  }
}

/** @param {{needs: Needs}} props */
function NeedsTable({ needs }) {
  const memory = needs.memory_bytes > needs.memory_available_bytes;
  const disk = needs.disk_needed_bytes > needs.disk_free_bytes;
  return h("div", { class: "stack" },
    memory && h("p", { key: "memory" }, `A training step needs about ${bytes(needs.memory_bytes)} of memory; this `
      + `machine has ${bytes(needs.memory_available_bytes)}.`),
    disk && h("p", { key: "disk" }, `Checkpoints need about ${bytes(needs.disk_needed_bytes)} of disk space; `
      + `${bytes(needs.disk_free_bytes)} is free.`),
    h("p", { key: "what", class: "hint" }, memory
      ? "It will probably fail at the first step or make this machine unusably slow. Reduce the batch size or "
        + "sequence length instead."
      : "It will fail when the disk is full. Free up space or keep fewer checkpoints instead."));
}

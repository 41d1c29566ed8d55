/** The machine that the server runs on: what it computes with, its memory, its disk. */
import { ApiError, get } from "./api.js";
import { connection } from "./live.js";
import { effect, signal } from "./preact.js";

/** It is asked so seldom that an idle page stays silent, and memory is not out of date for long. */
const PAUSE_MS = 60_000;

/** The last answer of /api/system; null before the first. */
export const machine = signal(/** @type {any} */ (null));

async function look() {
  if (document.hidden || connection.value.state !== "live") return;
  try {
    machine.value = await get("/api/system");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Look at once when the page is live, then now and then while it is seen; the shell calls it once. */
export function startMachine() {
  effect(() => {
    if (connection.value.state === "live") void look();
  });
  document.addEventListener("visibilitychange", () => void look());
  setInterval(() => void look(), PAUSE_MS);
}

/**
 * Preferences of this browser: appearance and shortcuts. They are in cookies, which no program
 * has use for, and which signing in leaves alone when it clears the storage of this address.
 */
import { effect, signal } from "./preact.js";

const A_YEAR = 365 * 24 * 3600;

/** @param {string} name @param {string} otherwise */
function stored(name, otherwise) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`cpt-studio.${name}=`));
  return found?.split("=")[1] ?? otherwise;
}

/** @param {string} name @param {string} value */
function store(name, value) {
  document.cookie = `cpt-studio.${name}=${value}; Path=/; SameSite=Strict; Max-Age=${A_YEAR}`;
}

/** "system", "light" or "dark". */
export const colourScheme = signal(stored("colour-scheme", "system"));

/** Whether the sidebar shows words: "auto" by the window's width, or as the user last left it, "open" or "folded". */
export const sidebar = signal(stored("sidebar", "auto"));

/** Columns of the list of runs, their ids with dots between; "" for the usual ones. */
export const runColumns = signal(stored("run-columns", ""));

/** Whether single keys are shortcuts. */
export const shortcuts = signal(stored("shortcuts", "on") !== "off");

/** How a new run is made: "steps" one after the other, or "all" on one page. */
export const newRunView = signal(stored("new-run-view", "steps") === "all" ? "all" : "steps");

/** Whether this browser tells when a run ends, where the user has allowed it. */
export const notifies = signal(stored("notify", "off") === "on");

/** Keep the document and the cookies as the preferences say; the shell calls it once. */
export function startPreferences() {
  effect(() => {
    const scheme = colourScheme.value;
    if (scheme === "system") {
      delete document.documentElement.dataset.scheme;
    } else {
      document.documentElement.dataset.scheme = scheme;
    }
    store("colour-scheme", scheme);
  });
  effect(() => store("sidebar", sidebar.value));
  effect(() => store("run-columns", runColumns.value));
  effect(() => store("shortcuts", shortcuts.value ? "on" : "off"));
  effect(() => store("new-run-view", newRunView.value));
  effect(() => store("notify", notifies.value ? "on" : "off"));
}

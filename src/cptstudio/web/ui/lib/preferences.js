/** Preferences of this browser: appearance and shortcuts. Kept in local storage. */
import { effect, signal } from "./preact.js";

/** @param {string} name @param {string} otherwise */
function stored(name, otherwise) {
  try {
    return localStorage.getItem(`cpt-studio.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {string} value */
function store(name, value) {
  try {
    localStorage.setItem(`cpt-studio.${name}`, value);
  } catch {
    // Storage is off in this browser: the preference holds until the page is left.
  }
}

/** "system", "light" or "dark". */
export const colourScheme = signal(stored("colour-scheme", "system"));

/** Whether single keys are shortcuts. */
export const shortcuts = signal(stored("shortcuts", "on") !== "off");

/** Keep the document and the storage as the preferences say; the shell calls it once. */
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
  effect(() => store("shortcuts", shortcuts.value ? "on" : "off"));
}

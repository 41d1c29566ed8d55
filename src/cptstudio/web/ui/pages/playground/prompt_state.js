/** The prompt: in the URL while it is short, in this tab's storage otherwise. */
import { effect, signal } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";

const SHORT = 400;
const PAUSE_MS = 300;

/** @param {string} name */
function stored(name) {
  try {
    return sessionStorage.getItem(`cpt-studio.playground.${name}`) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name @param {string} value */
function store(name, value) {
  try {
    sessionStorage.setItem(`cpt-studio.playground.${name}`, value);
  } catch {
    // Storage is off or full: the text lives as long as the page.
  }
}

/** A text that is kept. @param {string} name */
function kept(name) {
  const text = signal(stored(name));
  let written = text.peek();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  effect(() => {
    const { path, query } = route.value;
    if (path === "/playground" && query[name] !== undefined && query[name] !== written) {
      written = query[name];
      text.value = written;
    }
  });
  effect(() => {
    const value = text.value;
    store(name, value);
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (route.peek().path === "/playground") {
        written = value;
        setQuery({ [name]: value.length <= SHORT ? value : null });
      }
    }, PAUSE_MS);
  });
  return text;
}

export const prompt = kept("prompt");
export const system = kept("system");

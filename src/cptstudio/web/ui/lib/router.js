/** Where the page is: the path and the query are the whole view state, so that a URL can be shared. */
import { signal } from "./preact.js";

/** @typedef {{path: string, query: Record<string, string>}} Route */

/** @returns {Route} */
function here() {
  return { path: decodeURI(location.pathname), query: Object.fromEntries(new URLSearchParams(location.search)) };
}

/** The current route. */
export const route = signal(here());

/** A number of the query, null where it holds none. @param {string | undefined} text */
export const queryNumber = (text) => (text && Number.isFinite(Number(text)) ? Number(text) : null);

/**
 * Go to another page or view.
 *
 * @param {string} url path with query
 * @param {{replace?: boolean, state?: any}=} options replace: no new entry in the history; state: what the entry keeps
 */
export function navigate(url, options) {
  const state = options?.state ?? null;
  if (options?.replace) {
    history.replaceState(state, "", url);
  } else {
    history.pushState(state, "", url);
  }
  route.value = here();
}

/**
 * The current path with a changed query. Null, undefined and "" remove a parameter.
 *
 * @param {Record<string, string | number | boolean | null | undefined>} changes
 */
export function withQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value == null || value === "" || value === false) {
      query.delete(name);
    } else {
      query.set(name, String(value));
    }
  }
  const text = query.toString().replaceAll("%2C", ",");
  return location.pathname + (text ? `?${text}` : "");
}

/**
 * Change query parameters in place. What the entry of the history keeps stays with the page.
 *
 * @param {Record<string, string | number | boolean | null | undefined>} changes
 * @param {{push?: boolean}=} options push: the browser's Back undoes it
 */
export function setQuery(changes, options) {
  navigate(withQuery(changes), { replace: !options?.push, state: history.state });
}

/** Follow history and plain clicks on links of this site without loading the page again. */
export function startRouter() {
  addEventListener("popstate", () => {
    route.value = here();
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
    const special = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    const elsewhere = link.origin !== location.origin || link.target || link.hasAttribute("download");
    if (special || elsewhere || link.pathname.startsWith("/download/") || link.hash) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}

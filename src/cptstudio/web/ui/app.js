/** The page's start and its frame: the sidebar, and the page of the current path. */
import { announce, Announcements } from "./components/announce.js";
import { ShortcutHelp, startShortcuts } from "./components/shortcuts.js";
import { Sidebar } from "./components/sidebar.js";
import { Button, Problem } from "./components/elements.js";
import { Skeleton } from "./components/placeholders.js";
import { SignInForm, SignInPage } from "./components/sign_in.js";
import { connection, startLive } from "./lib/live.js";
import { startMachine } from "./lib/machine.js";
import { startNotifications } from "./lib/notifications.js";
import { startPreferences } from "./lib/preferences.js";
import { effect, h, render, useEffect, useErrorBoundary, useRef, useState } from "./lib/preact.js";
import { navigate, route, startRouter } from "./lib/router.js";
import { intercepted, session, startSession, stranger, trusted } from "./lib/session.js";
import { startTabProgress } from "./lib/tab_progress.js";

/**
 * @typedef {object} Page
 * @property {string} path ":id" stands for a name; "/:id?" may be missing
 * @property {string} title
 * @property {string=} key which leads there; pages with one are in the sidebar
 * @property {string=} group under which they are there: "bottom", or a name; the groups are in the order of the work
 * @property {string=} area the page of the sidebar that this one belongs to, where it is another
 * @property {() => Promise<{default: any}>} load
 */

/** All pages. The server reads their paths here (`pages.py`), so each stands in one line. @type {Page[]} */
const PAGES = [
  { path: "/", title: "Home", key: "h", load: () => import("./pages/home.js") },
  { path: "/data/:id?", title: "Data", key: "d", group: "Prepare", load: () => import("./pages/data.js") },
  { path: "/study/:id?", title: "Study texts", key: "y", group: "Prepare", load: () => import("./pages/study.js") },
  { path: "/models", title: "Models", key: "m", group: "Prepare", load: () => import("./pages/models.js") },
  { path: "/new", title: "New run", key: "n", group: "Train", load: () => import("./pages/new_run.js") },
  { path: "/runs", title: "Runs", key: "r", group: "Train", load: () => import("./pages/runs.js") },
  { path: "/runs/:id", title: "Run", area: "/runs", load: () => import("./pages/run.js") },
  { path: "/compare", title: "Compare", key: "c", group: "Train", load: () => import("./pages/compare.js") },
  { path: "/playground", title: "Playground", key: "p", group: "Test", load: () => import("./pages/playground.js") },
  { path: "/facts/:id?", title: "Facts", key: "f", group: "Test", load: () => import("./pages/facts.js") },
  { path: "/evaluate", title: "Evaluate", key: "e", group: "Test", load: () => import("./pages/evaluate.js") },
  { path: "/settings", title: "Settings", key: "s", group: "bottom", load: () => import("./pages/settings.js") },
];
const areaOf = (/** @type {Page} */ page) => page.area ?? page.path.replace("/:id?", "");
const PLACES = PAGES.flatMap((page) =>
  page.key ? [{ key: page.key, title: page.title, path: areaOf(page), group: page.group ?? "top" }] : []);

/** What the list of runs has in its address, from when it was the first page. */
const OF_THE_LIST = ["filter", "sort", "up", "select", "state"];

/** @type {Map<Page, any>} */
const loaded = new Map();

/** A page's code, from our server and from no other program. @param {Page} page */
async function load(page) {
  if (!loaded.has(page)) {
    await trusted();
    loaded.set(page, (await page.load()).default);
  }
  return loaded.get(page);
}

/** All code, as soon as the first page is there: later another program may answer in our place. */
async function loadAll() {
  for (const page of PAGES) await load(page).catch(() => undefined);
}

/** @param {string} path */
const pageOf = (path) => PAGES.find((page) =>
  RegExp(`^${page.path.replace("/:id?", "(/[^/]+)?").replace(":id", "[^/]+")}$`).test(path));

function Intercepted() {
  return h("div", { class: "notice notice-bad", role: "alert" },
    h("div", {}, h("h2", {}, "Another program is intercepting this page"),
      h("p", {}, "A service worker left at this address by another program could read everything this page sends, so "
        + "nothing was sent. The worker has been removed. Close other tabs at this address, then reload.")));
}

/** What keeps the whole page from being of use. */
function Banner() {
  if (intercepted.value) return h("div", { class: "banner" }, h(Intercepted, {}));
  if (session.value === "ended") {
    return h("div", { class: "banner" },
      h("div", { class: "notice notice-warn", role: "alert" },
        h("div", {}, h("h2", {}, "You've been signed out"),
          h("p", {}, "Training continues, and nothing you typed is lost."), h(SignInForm, {}))));
  }
  if (stranger.value) {
    return h("div", { class: "banner" },
      h("div", { class: "notice notice-bad", role: "alert" },
        h("div", {}, h("h2", {}, "A different program is running at this address"),
          h("p", {}, "It couldn't prove that it is your CPT Studio, so nothing was sent to it. Restart your server, "
            + "and "
            + "this page reconnects automatically. If you switched workspaces or changed the token, sign in again."),
          h(SignInForm, {}))));
  }
  if (connection.value.state === "offline") {
    return h("div", { class: "banner" },
      h("div", { class: "notice notice-bad", role: "alert" },
        h("div", {}, h("h2", {}, "Can't reach the CPT Studio server"),
          h("p", {}, "Runs continue without it. Start the server again with the same command; this page reconnects and "
            + "catches up automatically."))));
  }
  return null;
}

/** @param {{error: any, again: () => void}} props */
function Broken({ error, again }) {
  return h("div", { class: "stack" },
    h("h1", {}, "Something went wrong"),
    h(Problem, { error, retry: again }),
    h("p", { class: "muted" }, "Your runs are not affected. ", h("a", { href: "/runs" }, "Go to Runs")));
}

function NotFound() {
  return h("div", { class: "not-found" },
    h("p", { class: "not-found-number", "aria-hidden": "true" }, "404"),
    h("h1", {}, "Page not found"),
    h("p", { class: "muted" }, "The address may be mistyped, or the page may have been deleted."),
    h("p", { class: "row" }, h(Button, { kind: "primary", icon: "home", href: "/" }, "Home"),
      h(Button, { icon: "runs", href: "/runs" }, "Go to Runs")));
}

const RELOADED = "cpt-studio.reloaded";
const RELOAD_PAUSE_MS = 60_000;

/** Whether a page that could not be loaded is loaded again by itself: once in a while. */
function reloadsNow() {
  try {
    const before = Number(sessionStorage.getItem(RELOADED) ?? 0);
    sessionStorage.setItem(RELOADED, String(Date.now()));
    return Date.now() - before > RELOAD_PAUSE_MS;
  } catch {
    return false;
  }
}

/** @param {{page: Page}} props */
function PageOf({ page }) {
  const [Content, setContent] = useState(/** @type {any} */ (null));
  const [failure, setFailure] = useState(/** @type {any} */ (null));
  const [error, reset] = useErrorBoundary();
  const show = () => {
    setFailure(null);
    load(page).then((content) => {
      setContent(() => content);
      void loadAll();
    }, setFailure);
  };
  useEffect(show, []);
  useEffect(() => {
    if (!failure) return undefined;
    let first = true;
    const stop = effect(() => {
      // A browser does not fetch a module again that it failed to fetch; nothing is typed here yet.
      if (connection.value.state === "live" && !first) location.reload();
      first = false;
    });
    // One file may fail while the server answers all others; one that fails each time does so in view.
    const timer = setTimeout(() => connection.peek().state === "live" && reloadsNow() && location.reload(), 1000);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [failure]);
  if (error || failure) {
    const again = error ? reset : () => location.reload();
    return h(Broken, { error: error || failure, again });
  }
  return Content ? h(Content, {}) : h(Skeleton, { label: "Loading…", kind: "cards" });
}

function App() {
  const { path } = route.value;
  const page = pageOf(path);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const first = useRef(true);
  const wasOpen = useRef(false);
  wasOpen.current ||= session.value === "open";
  useEffect(() => {
    document.title = `${page ? page.title : "Not found"} · CPT Studio`;
    if (!first.current) {
      main.current?.focus();
      scrollTo(0, 0);
    }
    first.current = false;
  }, [path]);
  if (!wasOpen.current) {
    if (intercepted.value) return h("main", { id: "main", class: "page" }, h(Intercepted, {}));
    return session.value === "ended" ? h(SignInPage, {}) : h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  }
  return [
    h("a", { class: "skip", href: "#main", key: "skip" }, "Skip to content"),
    h("div", { class: "shell", key: "shell" },
      h(Sidebar, { places: PLACES, area: page && areaOf(page) }),
      h("div", { class: "content" },
        h(Banner, {}),
        h("main", { id: "main", class: "page", tabIndex: -1, ref: main },
          page ? h(PageOf, { page, key: page.path }) : h(NotFound, {})))),
    h(Announcements, { key: "announcements" }),
    h(ShortcutHelp, { pages: PLACES, key: "shortcuts" }),
  ];
}

function announceConnection() {
  let connectedBefore = true;
  effect(() => {
    const { state, since } = connection.value;
    // A page that is still connecting for the first time has lost nothing.
    const connected = state === "live" || (state === "reconnecting" && !since);
    if (connected !== connectedBefore) {
      announce(connected ? "Reconnected." : "Connection lost. Reconnecting…");
    }
    connectedBefore = connected;
  });
}

startPreferences();
startRouter();
if (route.value.path === "/" && OF_THE_LIST.some((name) => name in route.value.query)) {
  navigate(`/runs${location.search}`, { replace: true });
}
startShortcuts(PLACES);
startLive();
startTabProgress();
startNotifications();
startMachine();
void startSession();
const firstPage = pageOf(route.value.path);
if (firstPage) {
  // While the session is asked for.
  void load(firstPage).catch(() => undefined);
}
announceConnection();
const place = document.getElementById("app");
if (place) {
  place.replaceChildren();
  render(h(App, {}), place);
}

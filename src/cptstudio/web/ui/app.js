/** The page's start and its frame: navigation, status bar, the page of the current path. */
import { announce, Announcements } from "./components/announce.js";
import { ShortcutHelp, startShortcuts } from "./components/shortcuts.js";
import { StatusBar } from "./components/status_bar.js";
import { Problem } from "./components/problem.js";
import { sessionEnded } from "./lib/api.js";
import { connection, startLive } from "./lib/live.js";
import { startPreferences } from "./lib/preferences.js";
import { effect, h, render, useEffect, useErrorBoundary, useRef, useState } from "./lib/preact.js";
import { route, startRouter } from "./lib/router.js";

/**
 * @typedef {object} Page
 * @property {RegExp} path
 * @property {string} title
 * @property {string} area the entry of the navigation
 * @property {() => Promise<{default: any}>} load
 */

/** @type {Page[]} */
const PAGES = [
  { path: /^\/$/, title: "Runs", area: "/", load: () => import("./pages/runs.js") },
  { path: /^\/runs\/[^/]+$/, title: "Run", area: "/", load: () => import("./pages/run.js") },
  { path: /^\/compare$/, title: "Compare", area: "/compare", load: () => import("./pages/compare.js") },
  { path: /^\/new$/, title: "New run", area: "/new", load: () => import("./pages/new_run.js") },
  { path: /^\/data(\/[^/]+)?$/, title: "Data", area: "/data", load: () => import("./pages/data.js") },
  { path: /^\/playground$/, title: "Playground", area: "/playground", load: () => import("./pages/playground.js") },
  { path: /^\/evaluate$/, title: "Evaluate", area: "/evaluate", load: () => import("./pages/evaluate.js") },
  { path: /^\/settings$/, title: "Settings", area: "/settings", load: () => import("./pages/settings.js") },
];
const NAVIGATION = [
  ["/", "Runs"], ["/compare", "Compare"], ["/new", "New run"], ["/data", "Data"],
  ["/playground", "Playground"], ["/evaluate", "Evaluate"], ["/settings", "Settings"],
];

const pageOf = (/** @type {string} */ path) => PAGES.find((page) => page.path.test(path));

/** @param {{area: string | undefined}} props */
function Header({ area }) {
  return h(
    "header",
    { class: "top" },
    h(
      "div",
      { class: "top-inner" },
      h("a", { class: "brand", href: "/" }, h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 22, height: 22 }), "CPT Studio"),
      h(
        "nav",
        { class: "nav", "aria-label": "Pages" },
        NAVIGATION.map(([path, title]) => h("a", { key: path, href: path, "aria-current": path === area ? "page" : undefined }, title)),
      ),
      h(StatusBar, {}),
    ),
  );
}

/** What keeps the whole page from being of use. */
function Banner() {
  if (sessionEnded.value) {
    return h(
      "div",
      { class: "banner" },
      h(
        "div",
        { class: "notice notice-warn", role: "alert" },
        h("div", {}, h("h2", {}, "This session has ended"),
          h("p", {}, "The server does not know this page any more. Open the address that it printed in its terminal; training goes on meanwhile.")),
      ),
    );
  }
  if (connection.value.state === "offline") {
    return h(
      "div",
      { class: "banner" },
      h(
        "div",
        { class: "notice notice-bad", role: "alert" },
        h("div", {}, h("h2", {}, "CPT Studio's server does not answer"),
          h("p", {}, "Runs go on without it. Start it again with the same command; this page connects by itself and fetches what it missed.")),
      ),
    );
  }
  return null;
}

/** @param {{error: any, again: () => void}} props */
function Broken({ error, again }) {
  return h(
    "div",
    { class: "stack" },
    h("h1", {}, "This page failed"),
    h(Problem, { error, retry: again }),
    h("p", { class: "muted" }, "Nothing happened to your runs. ", h("a", { href: "/" }, "Go to the runs.")),
  );
}

function NotFound() {
  return h("div", { class: "stack" }, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "/" }, "Go to the runs.")));
}

/** @param {{page: Page}} props */
function PageOf({ page }) {
  const [Content, setContent] = useState(/** @type {any} */ (null));
  const [failure, setFailure] = useState(/** @type {any} */ (null));
  const [error, reset] = useErrorBoundary();
  const load = () => {
    setFailure(null);
    page.load().then((module) => setContent(() => module.default), setFailure);
  };
  useEffect(load, []);
  if (error || failure) {
    const again = error ? reset : load;
    return h(Broken, { error: error || failure, again });
  }
  return Content ? h(Content, {}) : h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
}

function App() {
  const { path } = route.value;
  const page = pageOf(path);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const first = useRef(true);
  useEffect(() => {
    document.title = `${page ? page.title : "Not found"} · CPT Studio`;
    if (!first.current) {
      main.current?.focus();
      scrollTo(0, 0);
    }
    first.current = false;
  }, [path]);
  return [
    h("a", { class: "skip", href: "#main", key: "skip" }, "Skip to the content"),
    h(Header, { area: page?.area, key: "header" }),
    h(Banner, { key: "banner" }),
    h("main", { id: "main", class: "page", tabIndex: -1, ref: main, key: "main" }, page ? h(PageOf, { page, key: page.path.source }) : h(NotFound, {})),
    h(Announcements, { key: "announcements" }),
    h(ShortcutHelp, { key: "shortcuts" }),
  ];
}

function announceConnection() {
  let connectedBefore = true;
  effect(() => {
    const { state, since } = connection.value;
    // A page that is still connecting for the first time has lost nothing.
    const connected = state === "live" || (state === "reconnecting" && !since);
    if (connected !== connectedBefore) {
      announce(connected ? "Connected again." : "The connection to the server is lost; reconnecting.");
    }
    connectedBefore = connected;
  });
}

startPreferences();
startRouter();
startShortcuts();
startLive();
announceConnection();
const place = document.getElementById("app");
if (place) {
  place.replaceChildren();
  render(h(App, {}), place);
}

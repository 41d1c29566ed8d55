/** The way through the pages, in the order of the work, with what is running and the machine below it. */
import { connection, status } from "../lib/live.js";
import { sidebar } from "../lib/preferences.js";
import { h, signal, useEffect, useRef } from "../lib/preact.js";
import { nameOf, stepOf } from "../lib/run_words.js";
import { Icon } from "./icons.js";
import { RunRing, StatusBar } from "./status_bar.js";

/** @typedef {{path: string, title: string, group: string}} Place */

const UNNAMED = ["top", "bottom"];

/** Between a phone's bar and the sidebar with words, the sidebar has icons only, unless it was opened. */
const narrow = matchMedia("(max-width: 1099px)");
const isNarrow = signal(narrow.matches);
narrow.addEventListener("change", () => { isNarrow.value = narrow.matches; });

/** Whether the sidebar has only icons now. */
export const isFolded = () => sidebar.value === "folded" || (sidebar.value === "auto" && isNarrow.value);

/** Whether a phone's menu is open. */
const menuIsOpen = signal(false);

/** @param {string} path */
const iconOf = (path) => path.slice(1) || "home";

/** @param {{place: Place, here: boolean, active: boolean}} props */
function PlaceLink({ place, here, active }) {
  return h("a", { class: "nav-link", href: place.path, "aria-current": here ? "page" : undefined,
    title: isFolded() ? place.title : undefined, onClick: () => { menuIsOpen.value = false; } },
    h(Icon, { name: iconOf(place.path) }), h("span", { class: "nav-words" }, place.title),
    active && h("span", { class: "nav-dot", "aria-hidden": "true" }));
}

/** A phone's bar: what is running stays in view there. */
function BarStatus() {
  const [run] = /** @type {any[]} */ (status.value?.active || []);
  return h("div", { class: "bar-status" },
    run && h("a", { class: "bar-run", href: `/runs/${run.id}`, "aria-label": `${nameOf(run)}, step ${stepOf(run)}` },
      h(RunRing, { run }), h("span", {}, nameOf(run))),
    h("span", { class: `status-connection status-${connection.value.state}`, "aria-hidden": "true" }));
}

/**
 * @param {{places: Place[], area: string | undefined}} props places: all that are in it, in their order; area: where
 *   the reader is
 */
export function Sidebar({ places, area }) {
  const top = useRef(/** @type {HTMLElement | null} */ (null));
  const folded = isFolded();
  const open = menuIsOpen.value;
  const busy = [(status.value?.active || []).length > 0 && "/runs",
    (status.value?.endpoints || []).length > 0 && "/models"];
  useEffect(() => {
    if (!open) return undefined;
    const away = (/** @type {Event} */ event) => {
      const key = event instanceof KeyboardEvent ? event.key : "";
      const outside = event.type === "pointerdown" && !top.current?.contains(/** @type {Node} */ (event.target));
      if (key !== "Escape" && !outside) return;
      menuIsOpen.value = false;
      if (key) top.current?.querySelector("button")?.focus();
    };
    for (const type of ["keydown", "pointerdown"]) document.addEventListener(type, away);
    return () => ["keydown", "pointerdown"].forEach((type) => document.removeEventListener(type, away));
  }, [open]);
  const groups = [...new Set(places.map(({ group }) => group))];
  const names = ["sidebar", folded && "sidebar-folded", open && "sidebar-menu-open"].filter(Boolean).join(" ");
  return h("header", { class: names, ref: top },
    h("div", { class: "sidebar-top" },
      h("button", { type: "button", class: "sidebar-button sidebar-menu", "aria-expanded": open ? "true" : "false",
        "aria-controls": "sidebar-body", "aria-label": "Menu", onClick: () => { menuIsOpen.value = !open; } },
        h(Icon, { name: open ? "close" : "menu" })),
      h("a", { class: "brand", href: "/", "aria-label": "CPT Studio" },
        h("img", { src: new URL("../icon.svg", import.meta.url).href, alt: "", width: 24, height: 24 }),
        h("span", { class: "brand-words" }, "CPT Studio")),
      h(BarStatus, {}),
      h("button", { type: "button", class: "sidebar-button sidebar-fold", "aria-expanded": folded ? "false" : "true",
        "aria-controls": "sidebar-body", "aria-label": "Sidebar labels",
        title: folded ? "Expand sidebar" : "Collapse sidebar",
        onClick: () => { sidebar.value = folded ? "open" : "folded"; } },
        h(Icon, { name: "sidebar" }))),
    h("div", { class: "sidebar-body", id: "sidebar-body" },
      h("nav", { class: "nav", "aria-label": "Pages" },
        groups.map((group) => h("div", { class: `nav-group nav-${group.toLowerCase()}`, key: group },
          !UNNAMED.includes(group) && h("p", { class: "nav-group-name", "aria-hidden": "true" }, group),
          places.filter((place) => place.group === group).map((place) =>
            h(PlaceLink, { key: place.path, place, here: place.path === area,
              active: busy.includes(place.path) }))))),
      h(StatusBar, {})));
}

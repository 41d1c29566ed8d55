import { shortcuts } from "../lib/preferences.js";
import { h, signal } from "../lib/preact.js";
import { navigate } from "../lib/router.js";
import { Dialog } from "./dialog.js";

/** @typedef {{key: string, title: string, path: string}[]} Pages */

const helpIsOpen = signal(false);

/** @param {EventTarget | null} target */
function typing(target) {
  return target instanceof Element
    && target.closest("input, select, textarea, [contenteditable], dialog, [role=menu]") !== null;
}

/** Single keys as shortcuts, where the preference allows them and nobody types. @param {Pages} pages */
export function startShortcuts(pages) {
  addEventListener("keydown", (event) => {
    const special = event.ctrlKey || event.metaKey || event.altKey;
    if (!shortcuts.value || special || event.defaultPrevented || typing(event.target)
      || document.querySelector("dialog[open]")) {
      return;
    }
    const found = pages.find(({ key }) => key === event.key);
    if (found) {
      event.preventDefault();
      navigate(found.path);
    } else if (event.key === "?") {
      event.preventDefault();
      helpIsOpen.value = true;
    }
  });
}

/** The list of shortcuts, on "?". @param {{pages: Pages}} props */
export function ShortcutHelp({ pages }) {
  if (!helpIsOpen.value) return null;
  const rows = [
    ...pages.map(({ key, title }) => [key, title]),
    ["?", "Show keyboard shortcuts"],
    ["← →", "In a chart: move the cursor (Shift: by ten)"],
    ["+ − 0", "In a chart: zoom in, zoom out, reset zoom"],
    ["Esc", "Close a dialog; in a chart: hide the cursor"],
  ];
  return h(Dialog, { title: "Keyboard shortcuts", onClose: () => { helpIsOpen.value = false; } },
    h("table", { class: "table" },
      h("caption", { class: "visually-hidden" }, "Keyboard shortcuts"),
      h("thead", { class: "visually-hidden" },
        h("tr", {}, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "Action"))),
      h("tbody", {}, rows.map(([key, title]) =>
        h("tr", { key }, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, title))))),
    h("p", { class: "hint" }, "Turn single-key shortcuts off in ", h("a", { href: "/settings" }, "Settings"), "."));
}

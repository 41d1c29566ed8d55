/**
 * A browser over the folders the user allowed. A list box: arrow keys move, Enter opens a folder,
 * Space chooses, Backspace goes up.
 */

import { del, get, post } from "../lib/api.js";
import { bytes, date } from "../lib/format.js";
import { Fragment, h, useEffect, useRef, useState, withValue } from "../lib/preact.js";
import { useWork } from "../lib/resource.js";
import { Button, Icon, Problem, Select } from "./elements.js";
import { toastDeleted } from "./undo.js";
import { confirm } from "./dialog.js";

/** @typedef {{id: string, path: string, label: string, removable: boolean}} Root */
/** @typedef {{name: string, kind: "folder"|"file", bytes: number|null, modified: number|null}} Entry */
/**
 * @typedef {{roots: Root[], suggestions: string[], root: string|null, path: string, entries: Entry[],
 *   truncated: boolean}} Listing
 */
/** @typedef {{root: string, path: string, shown: string, kind: "folder"|"file"}} Source */

/**
 * Sources are chosen in it, or a folder is: the one that is shown.
 * @param {{chosen?: readonly Source[], toggle?: (source: Source) => void, preview?: (source: Source) => void,
 *   opened?: (path: string) => void}} props
 * opened: a folder is chosen; called with the path of the one that is shown
 */
export function FileBrowser({ chosen = [], toggle, preview, opened }) {
  const [listing, setListing] = useState(/** @type {Listing|null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const asked = useRef(0);

  /** @param {string|null} root @param {string} path */
  const open = async (root, path) => {
    const number = ++asked.current;
    try {
      const answer = await get("/api/files", root === null ? {} : { root, path });
      if (number !== asked.current) return;
      setListing(answer);
      setError(null);
      const shown = answer.roots.find((/** @type {Root} */ one) => one.id === answer.root);
      if (shown !== undefined) opened?.(pathOf(shown, answer.path));
      if (answer.root === null && answer.roots.length > 0) await open(answer.roots[0].id, "");
    } catch (problem) {
      if (number === asked.current) setError(problem);
    }
  };
  useEffect(() => void open(null, ""), []);

  const root = listing?.roots.find((one) => one.id === listing.root) ?? null;
  const remove = async () => {
    if (root === null) return;
    const sure = await confirm({
      title: "Remove this folder from the list?",
      body: `CPT Studio will no longer list ${root.path}. Its files are not changed or deleted.`,
      confirm: "Remove from list",
    });
    if (sure) await del(`/api/roots/${encodeURIComponent(root.id)}`).then((answer) => {
      void open(null, "");
      toastDeleted(`Folder ${root.label}`, answer, { deed: "removed from the list", back: () => void open(null, "") });
    }, setError);
  };
  return h("div", { class: "browser" },
    h("div", { class: "browser-bar" },
      listing !== null && listing.roots.length > 0 && h(Fragment, {},
        h("label", { for: "browser-root" }, "Folder"),
        h(Select, { id: "browser-root", value: listing.root ?? "", onChoose: (one) => open(one, ""),
          choices: listing.roots.map((one) => [one.id, one.label]) }),
        root?.removable && h(Button, { small: true, onClick: remove }, "Remove from list"))),
    error !== null && h(Problem, { error }),
    listing !== null && root !== null && h(Entries, { key: root.id, listing, root, chosen, toggle, preview,
      open: (path) => open(root.id, path) }),
    h(AddRoot, { suggestions: listing?.suggestions ?? [], added: (id) => open(id, "") }));
}

/** @param {Root} root @param {string} path below it */
const pathOf = (root, path) => (path === "" ? root.path : `${root.path.replace(/\/$/, "")}/${path}`);

/**
 * @param {{listing: Listing, root: Root, chosen: readonly Source[], toggle?: (source: Source) => void,
 *   preview?: (source: Source) => void, open: (path: string) => void}} props
 */
function Entries({ listing, root, chosen, toggle, preview, open }) {
  const [active, setActive] = useState(0);
  const list = useRef(/** @type {HTMLUListElement|null} */ (null));
  const parts = listing.path.split("/").filter(Boolean);
  useEffect(() => setActive(0), [listing.path]);
  useEffect(() => list.current?.querySelector(`[data-index="${active}"]`)?.scrollIntoView({ block: "nearest" }),
    [active]);
  const current = listing.entries[active];
  /** @param {Entry} entry */
  const sourceOf = (entry) => {
    const path = [...parts, entry.name].join("/");
    return { root: root.id, path, shown: pathOf(root, path), kind: entry.kind };
  };
  /** @type {Source} */
  const here = { root: root.id, path: listing.path, shown: pathOf(root, listing.path), kind: "folder" };
  /** @param {Source} source */
  const isChosen = (source) => chosen.some((one) => one.root === source.root && one.path === source.path);
  const up = () => parts.length > 0 && open(parts.slice(0, -1).join("/"));

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const last = listing.entries.length - 1;
    /** @type {{[key: string]: () => void}} */
    const actions = {
      ArrowDown: () => setActive(Math.min(last, active + 1)),
      ArrowUp: () => setActive(Math.max(0, active - 1)),
      Home: () => setActive(0),
      End: () => setActive(Math.max(0, last)),
      PageDown: () => setActive(Math.min(last, active + 10)),
      PageUp: () => setActive(Math.max(0, active - 10)),
      Enter: () => current && (current.kind === "folder" ? open(sourceOf(current).path) : toggle?.(sourceOf(current))),
      ArrowRight: () => current?.kind === "folder" && open(sourceOf(current).path),
      ArrowLeft: up,
      Backspace: up,
      " ": () => current && toggle?.(sourceOf(current)),
    };
    const action = actions[event.key];
    if (action !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      action();
    } else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const wanted = event.key.toLowerCase();
      const order = [...listing.entries.keys()].map((index) => (index + active + 1) % listing.entries.length);
      const next = order.find((index) => listing.entries[index]?.name.toLowerCase().startsWith(wanted));
      event.preventDefault();
      if (next !== undefined) setActive(next);
    }
  };
  return h(Fragment, {},
    h("nav", { class: "browser-path", "aria-label": "Current folder" },
      h("button", { type: "button", class: "crumb", onClick: () => open("") }, root.label || root.path),
      parts.map((part, index) => h(Fragment, { key: index }, h("span", { "aria-hidden": "true" }, "/"),
        h("button", { type: "button", class: "crumb", "aria-current": index === parts.length - 1 ? "true" : undefined,
          onClick: () => open(parts.slice(0, index + 1).join("/")) }, part))),
      toggle && h(Button, { small: true, onClick: () => toggle(here) },
        isChosen(here) ? "Remove this folder" : "Select this folder")),
    h("p", { id: "browser-keys", class: "hint" }, toggle
      ? "Arrow keys move, Enter opens a folder, Space selects, Backspace goes up."
      : "Arrow keys move, Enter opens a folder, Backspace goes up."),
    h("ul", { class: "browser-list", role: "listbox", tabIndex: 0, ref: list, onKeyDown,
        "aria-label": `Contents of ${here.shown}`, "aria-multiselectable": toggle ? "true" : undefined,
        "aria-describedby": "browser-keys",
        "aria-activedescendant": current === undefined ? undefined : `entry-${active}` },
      listing.entries.map((entry, index) => h(EntryRow, { key: entry.name, entry, index, active: index === active,
        selected: isChosen(sourceOf(entry)),
        toggle: toggle && (() => { setActive(index); toggle(sourceOf(entry)); }),
        open: () => (entry.kind === "folder" ? open(sourceOf(entry).path) : toggle?.(sourceOf(entry))) }))),
    current?.kind === "file" && preview && h("p", { class: "browser-preview" },
      h(Button, { small: true, onClick: () => preview(sourceOf(current)) }, `Preview ${current.name}`)),
    listing.entries.length === 0 && h("p", { class: "empty-note" }, "This folder is empty."),
    listing.truncated && h("p", { class: "hint" },
      "This folder has too many items to list. Select the whole folder or one of its subfolders."));
}

/**
 * @param {{entry: Entry, index: number, active: boolean, selected: boolean, toggle?: () => void,
 *   open: () => void}} props
 */
function EntryRow({ entry, index, active, selected, toggle, open }) {
  const folder = entry.kind === "folder";
  return h("li", { id: `entry-${index}`, "data-index": index, role: "option",
    "aria-selected": selected ? "true" : "false",
      class: `entry${active ? " entry-active" : ""}${selected ? " entry-selected" : ""}`, onClick: open },
    toggle
      ? h("span", { class: `entry-mark${selected ? " entry-marked" : ""}`, "aria-hidden": "true", title: "Choose",
          onClick: (/** @type {Event} */ event) => { event.stopPropagation(); toggle(); } })
      : h("span", {}),
    h(Icon, { name: entry.kind }),
    h("span", { class: "entry-name" }, entry.name, folder && h("span", { class: "visually-hidden" }, ", folder")),
    h("span", { class: "entry-size", title: date(entry.modified) }, folder ? "" : bytes(entry.bytes)));
}

/** @param {{suggestions: readonly string[], added: (id: string) => void}} props suggestions: folders to add */
function AddRoot({ suggestions, added }) {
  const [path, setPath] = useState("");
  const { error, run } = useWork();
  /** @param {string} folder */
  const add = async (folder) => {
    const sure = await confirm({
      title: "Let CPT Studio read this folder?",
      body: `CPT Studio will be able to list and read files in ${folder} and its subfolders. It never writes `
        + "there.",
      confirm: "Add folder",
    });
    if (!sure) return;
    await run(async () => {
      const root = await post("/api/roots", { path: folder, confirmed: true });
      setPath("");
      added(root.id);
    });
  };
  return h("form", { class: "browser-add", onSubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    void add(path.trim());
  } },
    h("label", { for: "new-root" }, "Add a folder…"),
    suggestions.length > 0 && h("div", { class: "row" }, suggestions.map((one) =>
      h(Button, { key: one, small: true, icon: "folder", "aria-label": `Add ${one}`, onClick: () => void add(one) },
        one))),
    h("div", { class: "setting-pair" },
      h("input", { id: "new-root", type: "text", autocomplete: "off", spellcheck: false,
        placeholder: "/home/me/documents", value: path,
        "aria-describedby": "new-root-problem",
        onInput: withValue(setPath) }),
      h(Button, { type: "submit", disabled: path.trim() === "",
        title: path.trim() === "" ? "Enter a folder path first." : undefined }, "Add…")),
    h("div", { id: "new-root-problem" }, error !== null && h(Problem, { error })));
}

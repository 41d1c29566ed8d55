/** Add a corpus, or build one again: name, sources, options. */

import { get, post } from "../../lib/api.js";
import { nameProblem } from "../../lib/names.js";
import { bytes, integer } from "../../lib/format.js";
import {
  Fragment, h, signal, useEffect, useMemo, useRef, useState, withChecked, withValue,
} from "../../lib/preact.js";
import { Button, Problem } from "../../components/elements.js";
import { navigate } from "../../lib/router.js";
import { announce } from "../../components/announce.js";
import { DropArea } from "./drop_area.js";
import { FileBrowser } from "../../components/file_browser.js";
import { BuildOptions, initialOptions, KindChoice, unreadable } from "./build_options.js";
import { noteJob } from "../../lib/jobs.js";
import { SourcePreviewDialog } from "./preview.js";
import { UploadQueue } from "./upload_queue.js";

/** @typedef {import("../../components/file_browser.js").Source} Source */
/** @typedef {import("./build_options.js").Options} Options */
/** @typedef {import("./report.js").Given} Given */

/**
 * @param {{rebuild: string|null, taken: readonly string[], options?: Partial<Options>, before?: Given}} props
 * rebuild: the corpus to build again, whose name is fixed; taken: names that are in use; before:
 * what it was built from
 */
export function AddCorpus({ rebuild, taken, options: given, before }) {
  const queue = useMemo(() => new UploadQueue(), []);
  const formats = useFormats();
  const [name, setName] = useState(rebuild ?? "");
  const [sources, setSources] = useState(/** @type {readonly Source[]} */ ([]));
  const [again, setAgain] = useState(before?.known === true);
  const [options, setOptions] = useState(/** @type {Options} */ ({ ...initialOptions, ...given }));
  const [models, setModels] = useState(/** @type {{name: string, reference: string}[]|null} */ (null));
  const [problems, setProblems] = useState(/** @type {{[field: string]: string}} */ ({}));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  const [previewed, setPreviewed] = useState(/** @type {object|null} */ (null));
  const nameField = useRef(/** @type {HTMLInputElement|null} */ (null));

  useEffect(() => {
    get("/api/models").then(
      (answer) => {
        const usable = answer.models.filter((/** @type {any} */ model) => model.error === null);
        const named = usable.map((/** @type {any} */ model) => ({ name: model.name, reference: model.id }));
        const former = usable.findIndex((/** @type {any} */ model) => model.path === before?.model);
        setModels(named);
        if (named.length > 0 && given?.model === undefined) {
          setOptions((now) => ({ ...now, model: now.model ?? named[Math.max(0, former)].reference }));
        }
      },
      () => setModels([]));
    return () => queue.clear();
  }, []);
  const uploaded = queue.uploads.value[0]?.path ?? "";
  useEffect(() => {
    if (uploaded !== "" && name === "" && rebuild === null) setName(suggestedName(uploaded.split("/")[0] ?? "", taken));
  }, [uploaded]);
  useEffect(() => {
    // What is being uploaded would be lost.
    /** @param {BeforeUnloadEvent} event */
    const warn = (event) => queue.busy.value && event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, []);

  /** @param {Source} source */
  const toggle = (source) => {
    const there = sources.some((one) => one.root === source.root && one.path === source.path);
    if (!there && name === "" && rebuild === null) setName(suggestedName(source.shown, taken));
    setSources(there
      ? sources.filter((one) => one.root !== source.root || one.path !== source.path)
      : [...sources, source]);
    announce(there ? `${source.shown} removed.` : `${source.shown} selected.`);
  };

  const build = async () => {
    const found = problemsOf(name, rebuild === null ? taken : [],
      sources.length + queue.done.value.length + (again ? 1 : 0), queue);
    setProblems(found);
    if (Object.keys(found).length > 0) {
      if (found["name"] !== undefined) nameField.current?.focus();
      return;
    }
    const wrong = unreadable(options);
    if (wrong !== null) {
      wrong.focus();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const job = await post("/api/corpora", {
        name,
        again,
        sources: [
          ...sources.map(({ root, path }) => ({ root, path })),
          ...queue.done.value.map((one) => ({ upload: one.id })),
        ],
        ...options,
      });
      noteJob(job);
      queue.handOver();
      announce(`Building the corpus “${name}”.`);
      navigate(rebuild === null ? "/data" : `/data/${encodeURIComponent(rebuild)}`);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const talks = options["kind"] === "conversations";
  const nameProblem = problems["name"] ?? "";
  const sourceProblem = problems["sources"] ?? "";
  return h("section", { class: "add-corpus", "aria-labelledby": "add-title" },
    h("h2", { id: "add-title", class: rebuild === null ? "visually-hidden" : "" },
      rebuild === null ? "New corpus" : `Rebuild ${rebuild}`),
    rebuild === null
      ? h("div", { class: "setting" },
          h("label", { for: "corpus-name", class: "setting-label" }, "Name"),
          h("input", { id: "corpus-name", ref: nameField, type: "text", maxLength: 64, autocomplete: "off",
            spellcheck: false, value: name,
            "aria-describedby": "corpus-name-help", "aria-invalid": nameProblem === "" ? undefined : "true",
            onInput: withValue((text) => {
              setName(text);
              setProblems({ ...problems, name: "" });
            }) }),
          h("p", { id: "corpus-name-help", class: nameProblem === "" ? "hint" : "field-problem" },
            nameProblem || "Letters, digits, dots, underscores, and hyphens."))
      : h("p", {}, "The corpus is replaced when the build finishes. Unchanged files are not re-read."),
    h(KindChoice, { options, change: (next) => setOptions({ ...options, ...next }) }),
    h("fieldset", { class: "sources", "aria-describedby": "sources-problem" },
      h("legend", {}, talks ? "Files" : "Documents"),
      before !== undefined && h(SameSources, { before, again, change: setAgain }),
      h("p", { class: "hint" }, talks ? formats.records : formats.all,
        "Unreadable files are skipped and listed with the reason."),
      h("div", { class: "sources-ways" },
        h("div", { class: "sources-way" }, h("h3", {}, "From this machine"),
          h(FileBrowser, { chosen: sources, toggle, preview: ({ root, path }) => setPreviewed({ root, path }) })),
        h("div", { class: "sources-way" }, h("h3", {}, "Upload"),
          h(DropArea, { queue, include: options.include ?? [], preview: (upload) => setPreviewed({ upload }) }))),
      h(Chosen, { sources, toggle, queue, again }),
      h("div", { id: "sources-problem" }, sourceProblem !== "" && h("p", { class: "field-problem" }, sourceProblem))),
    h(BuildOptions, { options, models, change: (next) => setOptions({ ...options, ...next }) }),
    previewed !== null && h(SourcePreviewDialog, { close: () => setPreviewed(null),
      body: { ...settingsOf(options), source: previewed } }),
    error !== null && h(Problem, { error }),
    h("div", { class: "form-actions" },
      h(Button, { kind: "primary", disabled: busy || queue.busy.value, "aria-describedby": "build-note",
        onClick: build },
        busy ? "Starting…" : rebuild === null ? "Build corpus" : "Rebuild"),
      h(Button, { href: rebuild === null ? "/data" : `/data/${encodeURIComponent(rebuild)}` }, "Cancel"),
      h("span", { id: "build-note", class: "hint" }, queue.busy.value ? "Uploading files…" : "")));
}

/** The settings of the build, those left out that cannot be read yet. @param {Options} options */
function settingsOf({ model, allow_lossy_tokenizer, workers, ...settings }) {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => !Number.isNaN(value)));
}

/**
 * A name for a corpus, after the folder or file that it is made of; "" where it gives none.
 * @param {string} path @param {readonly string[]} taken
 */
export function suggestedName(path, taken) {
  const last = path.replace(/[/\\]+$/, "").split(/[/\\]/).pop() ?? "";
  const name = last.replace(/\.[A-Za-z0-9]{1,5}$/, "").replaceAll(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/,
    "").replace(/-+$/, "").slice(0, 60);
  if (!taken.includes(name)) return name;
  for (let number = 2; ; number += 1) if (!taken.includes(`${name}-${number}`)) return `${name}-${number}`;
}

/**
 * What the corpus was built from, taken again as a whole or not.
 * @param {{before: Given, again: boolean, change: (again: boolean) => void}} props
 */
function SameSources({ before, again, change }) {
  if (!before.known) {
    return h("p", { class: "hint" },
      "This corpus was built by an earlier version, which didn't record its sources. Choose its files and folders "
        + "again.");
  }
  const uploads = before.uploads === 0
    ? []
    : [`${integer(before.uploads)} uploaded ${before.uploads === 1 ? "file" : "files"}`];
  const hub = (before.hub ?? []).map((one) =>
    `${one.id}, ${one.configuration}, ${one.split}, at ${one.commit.slice(0, 8)}`);
  const shown = [...before.folders.slice(0, 20).map(({ path }) => path), ...hub, ...uploads];
  const more = before.folders.length > 20 ? [`and ${integer(before.folders.length - 20)} more`] : [];
  const gone = before.folders.filter(({ there }) => !there).map(({ path }) => `${path} no longer exists.`);
  const barred = before.folders.filter(({ there, allowed }) => there && !allowed).map(({ path }) =>
    `CPT Studio can't read ${path} yet. Add its folder below.`);
  return h("div", { class: "setting setting-check" },
    h("div", { class: "setting-head" },
      h("input", { id: "same-sources", type: "checkbox", checked: again, "aria-describedby": "same-sources-list",
        onChange: withChecked(change) }),
      h("label", { for: "same-sources", class: "setting-label" }, "Use the same sources")),
    h("ul", { id: "same-sources-list", class: "hint" },
      [...shown, ...more].map((one) => h("li", { key: one, class: "name" }, one))),
    [...gone, ...barred].slice(0, 5).map((sentence) => h("p", { key: sentence, class: "field-problem" }, sentence)));
}

/**
 * @param {{sources: readonly Source[], toggle: (source: Source) => void, queue: UploadQueue, again: boolean}} props
 */
function Chosen({ sources, toggle, queue, again }) {
  const uploads = queue.done.value.length;
  if (sources.length === 0 && uploads === 0 && again) return null;
  if (sources.length === 0 && uploads === 0) return h("p", { class: "chosen-none hint" }, "Nothing selected yet.");
  return h("div", { class: "chosen" },
    h("h3", {}, "Selected"),
    h("ul", {}, sources.map((source) => h("li", { key: `${source.root}/${source.path}` },
        h("span", { class: "name" }, source.shown),
        h(Button, { "aria-label": `Remove ${source.shown}`, onClick: () => toggle(source) }, "Remove"))),
      uploads > 0 && h("li", { key: "uploads" },
        h(Fragment, {},
          `${integer(uploads)} uploaded ${uploads === 1 ? "file" : "files"}, ${bytes(queue.total.value)}`))));
}

/**
 * @param {string} name @param {readonly string[]} taken @param {number} sources @param {UploadQueue} queue
 * @returns {{[field: string]: string}}
 */
function problemsOf(name, taken, sources, queue) {
  /** @type {{[field: string]: string}} */
  const found = {};
  const wrong = nameProblem(name, "corpus");
  if (wrong !== "") {
    found["name"] = wrong;
  } else if (taken.includes(name)) {
    found["name"] =
      `A corpus named “${name}” already exists. Choose another name, or rebuild that corpus from its page.`;
  }
  const failed = queue.failed.value.length;
  if (failed > 0) {
    found["sources"] = `${failed === 1 ? "1 upload" : `${failed} uploads`} failed. Try again or remove `
      + `${failed === 1 ? "it" : "them"}.`;
  } else if (sources === 0) {
    found["sources"] = "Select a folder or files, or upload some.";
  }
  return found;
}

/** @typedef {{title: string, suffixes: string[], records: boolean}} Format */

const known = signal(/** @type {{formats: Format[], packed: string[]}|null} */ (null));
const list = new Intl.ListFormat("en-US");

/** Sentences on the formats, "" until the server has told them. */
function useFormats() {
  useEffect(() => {
    if (known.value === null) get("/api/uploads/formats").then((answer) => (known.value = answer), () => {});
  }, []);
  if (known.value === null) return { all: "", records: "" };
  const { formats, packed } = known.value;
  const titles = list.format(formats.map((one) => one.title));
  return {
    records: `${list.format(formats.filter((one) => one.records).map((one) => one.title))}; also inside `
      + `${list.format(packed)} archives. What is no conversation is left out and counted. `,
    all: `${titles.charAt(0).toUpperCase()}${titles.slice(1)}; also inside ${list.format(packed)} archives. `,
  };
}

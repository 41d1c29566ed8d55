import { copying } from "../../components/announce.js";
import { Button } from "../../components/elements.js";
import { Table } from "../../components/table.js";
import { bytes, date, shownValue } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/** @param {any} tree @param {string} prefix @returns {[string, any][]} */
function flattened(tree, prefix = "") {
  return Object.entries(tree || {}).flatMap(([name, value]) => {
    const path = prefix ? `${prefix}.${name}` : name;
    return value && typeof value === "object" && !Array.isArray(value)
      ? flattened(value, path)
      : [/** @type {[string, any]} */ ([path, value])];
  });
}

/** @param {{text: string, label: string}} props */
function Copyable({ text, label }) {
  return h("div", { class: "stack", "data-copied": true }, h("div", { class: "spread" }, h("h3", {}, label),
    h(Button, { small: true, icon: "file", onClick: copying(() => text) }, "Copy")),
    h("pre", { class: "log", tabIndex: 0, "aria-label": label }, text));
}

/** The settings that somebody chose, before the many that nobody did. @param {{run: any}} props */
function Changed({ run }) {
  const { chosen } = run.config;
  return h("section", { class: "stack" },
    h("h3", {}, "Changed settings"),
    run.changed_settings.length
      ? h(Table, {
        caption: "Changed settings", stacks: true, rows: run.changed_settings, rowKey: (one) => one.setting,
        columns: [
          { id: "setting", title: "Setting", header: true,
            cell: (one) => h("span", { title: one.setting }, one.title) },
          { id: "here", title: "This run", cell: (one) => h("span", { class: "changed" }, shownValue(one.value)) },
          { id: "default", title: "Default",
            cell: (one) => h("span", { class: "changed muted" },
              one.default == null ? "automatic" : shownValue(one.default)) },
        ],
      })
      : h("p", { class: "muted" }, "All settings are at their defaults."),
    !chosen && h("p", { class: "hint" }, "This run was created by an earlier version, which didn't record which "
      + "values were chosen automatically."));
}

/** What the run uses: its config.json and nothing else. @param {{run: any}} props */
export function Configuration({ run }) {
  if (!run.config) return h("p", { class: "muted" }, "This run's configuration can't be read.");
  const { settings, versions, machine } = run.config;
  const facts = [
    ["Created", date(run.config.created)],
    ["Base model", run.config.model_path],
    ["Model fingerprint", run.config.model_hash],
    ...run.config.corpora.map((/** @type {any} */ corpus) =>
      [`Corpus ${corpus.name}`, `${corpus.path} (${corpus.fingerprint})`]),
    ...Object.entries(versions).map(([name, version]) => [name, version]),
    ...Object.entries(machine).map(([name, value]) =>
      [name.replaceAll("_", " "), name === "memory" ? bytes(/** @type {number} */ (value)) : value]),
  ];
  return h("div", { class: "stack" },
    h(Changed, { run }),
    run.parent && h("section", { class: "stack" },
      h("h3", {}, "Different from the parent run ", h("a", { href: `/runs/${run.parent.run}` }, run.parent.run)),
      run.parent_differences.length
        ? h(Table, {
          caption: "Settings that differ from the parent", rows: run.parent_differences, rowKey: (one) => one.setting,
          columns: [
            { id: "setting", title: "Setting", header: true,
              cell: (one) => h("span", { class: "changed" }, one.setting) },
            { id: "parent", title: "Parent", cell: (one) => h("span", { class: "changed" }, shownValue(one.parent)) },
            { id: "here", title: "This run", cell: (one) => h("span", { class: "changed" }, shownValue(one.here)) },
          ],
        })
        : h("p", { class: "muted" }, "All settings match the parent run.")),
    Object.values(run.session ?? {}).some((value) => value !== null) && h("section", { class: "stack" },
      h("h3", {}, "Changed in the last session"),
      h("p", { class: "muted" }, "config.json never changes; the Events tab lists what each session changed."),
      h(Table, {
        caption: "Settings of the last session",
        rows: Object.entries(run.session).filter(([, value]) => value !== null), rowKey: ([name]) => name,
        columns: [
          { id: "setting", title: "Setting", header: true, cell: ([name]) => h("span", { class: "changed" }, name) },
          { id: "value", title: "Value", cell: ([, value]) => h("span", { class: "changed" }, shownValue(value)) },
        ],
      })),
    run.command && h(Copyable, { text: run.command, label: "Command line" }),
    h("section", { class: "stack" }, h("h3", {}, "All settings"), h(Table, {
      caption: "Settings", rows: flattened(settings), rowKey: ([name]) => name,
      columns: [
        { id: "setting", title: "Setting", header: true, cell: ([name]) => h("span", { class: "changed" }, name) },
        { id: "value", title: "Value", cell: ([name, value]) => h("span", { class: "changed" }, shownValue(value),
          run.config.chosen?.includes(name) && h("span", { class: "muted" }, " (automatic)")) },
      ],
    })),
    h("section", { class: "stack" }, h("h3", {}, "Environment"),
      h("dl", { class: "pairs" },
        facts.flatMap(([name, value]) => [h("dt", { key: `${name} name` }, name),
          h("dd", { key: `${name} value`, class: "changed" }, shownValue(value))]))));
}

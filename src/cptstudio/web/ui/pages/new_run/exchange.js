/** The same run as a command line and as YAML, out and in. */

import { post } from "../../lib/api.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { Button, Problem } from "../../components/elements.js";
import { Dialog } from "../../components/dialog.js";
import { announce, copying } from "../../components/announce.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** The largest YAML file that is read: settings are a few kilobytes. */
const MOST_BYTES = 256 * 1024;

/** @param {{form: NewRunForm}} props */
export function Exchange({ form }) {
  const [importing, setImporting] = useState(false);
  const plan = form.plan.value;
  return h("section", { class: "exchange", "aria-labelledby": "exchange-title" },
    h("div", { class: "exchange-head" },
      h("h2", { id: "exchange-title" }, "Command line & YAML"),
      !form.fork && h(Button, { onClick: () => setImporting(true) }, "Import YAML…")),
    plan !== null && plan.command && h(Copyable, { title: "Command line", text: plan.command }),
    plan !== null && plan.yaml && h(Copyable, { title: "YAML", text: plan.yaml }),
    (plan === null || (!plan.command && !plan.yaml)) && h("p", { class: "hint" },
      "Complete the form to see this run as a command and as YAML."),
    importing && h(ImportDialog, { form, close: () => setImporting(false) }));
}

/** @param {{title: string, text: string}} props */
function Copyable({ title, text }) {
  return h("details", { class: "copyable", "data-copied": true },
    h("summary", {}, title),
    h("div", { class: "copyable-body" },
      h("pre", { tabIndex: 0, "aria-label": title }, h("code", {}, text)),
      h("div", { class: "row" }, h(Button, { onClick: copying(() => text) }, "Copy"))));
}

/** @param {{form: NewRunForm, close: () => void}} props */
function ImportDialog({ form, close }) {
  const [text, setText] = useState("");
  const { busy, error, run } = useWork();
  const take = () => run(async () => {
    const answer = await post("/api/plan/parse", { yaml: text });
    form.replace(answer.settings);
    announce("Settings imported.");
    close();
  });
  /** @param {File|undefined} file */
  const read = (file) => file && run(async () => {
    if (file.size > MOST_BYTES) {
      throw new Error(`${file.name} is too large for a settings file. Choose a YAML file with settings.`);
    }
    setText(await file.text());
  });
  return h(Dialog, { title: "Import YAML", onClose: close,
      actions: [
        h(Button, { onClick: close }, "Cancel"),
        h(Button, { kind: "primary", onClick: take, disabled: busy || text.trim() === "",
          title: text.trim() === "" ? "Paste settings or choose a file first." : undefined }, "Import"),
      ] },
    h("p", {}, "Settings in the format of ", h("code", {}, "cpt-studio train --config"),
      ". They replace what is in the form."),
    h("label", { for: "import-yaml" }, "YAML"),
    h("textarea", { id: "import-yaml", class: "import-text", rows: 12, spellcheck: false, value: text,
      "aria-describedby": "import-problem",
      onInput: withValue(setText) }),
    h("div", { class: "import-file" },
      h("label", { for: "import-file" }, "Or choose a file"),
      h("input", { id: "import-file", type: "file", accept: ".yaml,.yml,text/yaml",
        onChange: (/** @type {Event} */ event) =>
          read(/** @type {HTMLInputElement} */ (event.currentTarget).files?.[0]) })),
    h("div", { id: "import-problem" }, error !== null && h(Problem, { error })));
}

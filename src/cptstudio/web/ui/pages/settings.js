/** Settings: this workspace, this browser, the session, and what runs here. */

import { h } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { Problem } from "../components/elements.js";
import { About } from "./settings/about.js";
import { Appearance } from "./settings/appearance.js";
import { PreferencesForm } from "./settings/preferences_form.js";
import { Session } from "./settings/session.js";

export default function SettingsPage() {
  const { data: system, error, reload: load } = useResource("/api/system");
  return h("div", { class: "stack settings" },
    h("div", { class: "page-head" }, h("h1", {}, "Settings")),
    error !== null && h(Problem, { error, retry: load }),
    h("div", { class: "settings-columns" },
      h("div", { class: "stack" },
        h("section", { class: "card", "aria-labelledby": "settings-workspace" },
          h("h2", { id: "settings-workspace" }, "Workspace"),
          h("p", {}, system === null ? "…" : h("code", { class: "break" }, system.workspace)),
          h("p", { class: "hint" }, "Models, corpora and runs lie here. Another workspace is opened by starting CPT "
            + "Studio with --workspace.")),
        h(PreferencesForm, {}),
        h(Appearance, {})),
      h("div", { class: "stack" }, h(Session, {}), h(About, { system }))));
}

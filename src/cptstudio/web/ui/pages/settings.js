/** Settings: this workspace, this browser, the session, and what runs here. */

import { h, withChecked } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { Button, Problem } from "../components/elements.js";
import { PageHeader } from "../components/layout.js";
import { Skeleton } from "../components/placeholders.js";
import { Segmented } from "../components/segmented.js";
import { PreferencesForm } from "./settings/preferences_form.js";
import { post } from "../lib/api.js";
import { endSession } from "../lib/session.js";
import { confirm } from "../components/dialog.js";
import { colourScheme, shortcuts } from "../lib/preferences.js";
import { bytes, integer, percent } from "../lib/format.js";

export default function SettingsPage() {
  const { data: system, error, reload: load } = useResource("/api/system");
  return h("div", { class: "stack settings" },
    h(PageHeader, { title: "Settings" }),
    error !== null && h(Problem, { error, retry: load }),
    h("div", { class: "settings-columns" },
      h("div", { class: "stack" },
        h("section", { class: "card", "aria-labelledby": "settings-workspace" },
          h("h2", { id: "settings-workspace" }, "Workspace"),
          h("p", {}, system === null ? "\u00a0" : h("code", { class: "break" }, system.workspace)),
          h("p", { class: "hint" }, "Models, corpora and runs lie here. Another workspace is opened by starting CPT "
            + "Studio with --workspace.")),
        h(PreferencesForm, {}),
        h(Appearance, {})),
      h("div", { class: "stack" }, h(Session, {}), h(About, { system }))));
}

function Session() {
  const ask = async (/** @type {Parameters<typeof confirm>[0]} */ asked) => {
    if (await confirm(asked)) endSession();
  };
  const end = () => ask({ title: "Sign out?", confirm: "Sign out", action: () => post("/api/session/end", {}),
    body: "All pages in this browser will have to sign in again. Runs continue." });
  const endAll = () => ask({ title: "End all sessions?", confirm: "End all sessions", danger: true,
    action: () => post("/api/session/end-all", {}),
    body: "All browsers and programs, including this page, will have to sign in again. Runs continue." });
  return h("section", { class: "card", "aria-labelledby": "settings-session" },
    h("h2", { id: "settings-session" }, "Security"),
    h("p", {}, "This page is for you alone: it answers on ", h("code", {}, location.host),
      " and only to browsers that signed in with the server's file or its token."),
    h("p", { class: "hint" }, "The token lies in the workspace under .cpt-studio, readable by you only. No request "
      + "leaves this machine unless you search or download a model."),
    h("div", { class: "row" }, h(Button, { onClick: end }, "Sign out…"),
      h(Button, { kind: "danger", onClick: endAll }, "End all sessions…")));
}

const SCHEMES = /** @type {const} */ ([["system", "As the system"], ["light", "Light"], ["dark", "Dark"]]);

function Appearance() {
  return h("section", { class: "card", "aria-labelledby": "settings-appearance" },
    h("h2", { id: "settings-appearance" }, "Appearance"),
    h("p", { class: "hint" }, "Kept in this browser."),
    h("div", { class: "field" }, h("p", { "aria-hidden": "true" }, h("strong", {}, "Colors")),
      h(Segmented, { label: "Colors", value: colourScheme.value, choices: SCHEMES,
        onChoose: (value) => { colourScheme.value = value; } })),
    h("div", { class: "field" },
      h("div", { class: "check" },
        h("input", { id: "single-keys", type: "checkbox", checked: shortcuts.value,
          "aria-describedby": "single-keys-hint",
          onChange: withChecked((on) => { shortcuts.value = on; }) }),
        h("label", { for: "single-keys" }, "Single keys are shortcuts")),
      h("p", { id: "single-keys-hint", class: "hint" },
        "Press ? for the list. Turn them off where they get in the way of speech input or a screen reader.")),
    h("p", { class: "hint" }, "Movement follows the system: where it asks for less, nothing moves."));
}

/** @param {{system: any}} props the answer of /api/system, or null */
function About({ system }) {
  return h("section", { class: "card", "aria-labelledby": "settings-about" },
    h("h2", { id: "settings-about" }, "About"),
    system === null ? h(Skeleton, { label: "Loading…", lines: 12 }) : h("dl", { class: "about-facts" },
      fact("CPT Studio", system.version),
      fact("Device", system.device),
      fact("Processors", integer(system.cpus)),
      fact("Memory", `${bytes(system.memory_available)} available of ${bytes(system.memory_total)}`),
      fact("Disk", `${bytes(system.disk_free)} free of ${bytes(system.disk_total)} `
        + `(${percent(system.disk_free / system.disk_total)})`),
      fact("System", system.platform),
      fact("Python", system.python),
      fact("MLX", system.mlx),
      fact("mlx-lm", system.mlx_lm),
      Object.entries(system.versions ?? {})
        .filter(([name]) => !["mlx", "mlx-lm", "python", "cpt-studio", "cptstudio"].includes(name))
        .map(([name, version]) => fact(name, String(version)))),
    h("p", { class: "hint" }, "Apache-2.0. The pages use Preact, signals, uPlot and the Socket.IO client; ",
      h("a", { href: "/ui/vendor/LICENSES.txt", target: "_blank", rel: "noreferrer" }, "their licences"), "."));
}

/** @param {string} title @param {string|null|undefined} text */
function fact(title, text) {
  return h("div", { key: title, class: "about-fact" }, h("dt", {}, title), h("dd", {}, text || "–"));
}

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
          h("p", { class: "hint" }, "Models, corpora, and runs are stored here. To use another workspace, start "
            + "CPT Studio with --workspace.")),
        h(PreferencesForm, {}),
        h(Appearance, {})),
      h("div", { class: "stack" }, h(Session, {}), h(About, { system }))));
}

function Session() {
  const ask = async (/** @type {Parameters<typeof confirm>[0]} */ asked) => {
    if (await confirm(asked)) endSession();
  };
  const end = () => ask({ title: "Sign out?", confirm: "Sign out", action: () => post("/api/session/end", {}),
    body: "You will have to sign in again in this browser. Training continues." });
  const endAll = () => ask({ title: "Sign out everywhere?", confirm: "Sign out everywhere", danger: true,
    action: () => post("/api/session/end-all", {}),
    body: "All browsers, including this one, and all programs will have to sign in again. Training continues." });
  return h("section", { class: "card", "aria-labelledby": "settings-session" },
    h("h2", { id: "settings-session" }, "Security"),
    h("p", {}, "Only you can use this page: the server listens on ", h("code", {}, location.host),
      " and only answers browsers signed in with its link or token."),
    h("p", { class: "hint" }, "The token is stored in .cpt-studio in your workspace, readable only by you. Nothing "
      + "leaves this machine unless you search for or download a model."),
    h("div", { class: "row" }, h(Button, { onClick: end }, "Sign out…"),
      h(Button, { kind: "danger", onClick: endAll }, "Sign out everywhere…")));
}

const SCHEMES = /** @type {const} */ ([["system", "System"], ["light", "Light"], ["dark", "Dark"]]);

function Appearance() {
  return h("section", { class: "card", "aria-labelledby": "settings-appearance" },
    h("h2", { id: "settings-appearance" }, "Appearance"),
    h("p", { class: "hint" }, "Saved in this browser."),
    h("div", { class: "field" }, h("p", { "aria-hidden": "true" }, h("strong", {}, "Theme")),
      h(Segmented, { label: "Theme", value: colourScheme.value, choices: SCHEMES,
        onChoose: (value) => { colourScheme.value = value; } })),
    h("div", { class: "field" },
      h("div", { class: "check" },
        h("input", { id: "single-keys", type: "checkbox", checked: shortcuts.value,
          "aria-describedby": "single-keys-hint",
          onChange: withChecked((on) => { shortcuts.value = on; }) }),
        h("label", { for: "single-keys" }, "Single-key shortcuts")),
      h("p", { id: "single-keys-hint", class: "hint" },
        "Press ? to see them all. Turn them off if they interfere with speech input or a screen reader.")),
    h("p", { class: "hint" }, "Animations follow your system's reduced-motion setting."));
}

/** @param {{system: any}} props the answer of /api/system, or null */
function About({ system }) {
  return h("section", { class: "card", "aria-labelledby": "settings-about" },
    h("h2", { id: "settings-about" }, "About"),
    system === null ? h(Skeleton, { label: "Loading…", lines: 12 }) : h("dl", { class: "about-facts" },
      fact("CPT Studio", system.version),
      fact("Device", system.device),
      fact("CPU cores", integer(system.cpus)),
      fact("Memory", `${bytes(system.memory_available)} available of ${bytes(system.memory_total)}`),
      fact("Disk", `${bytes(system.disk_free)} free of ${bytes(system.disk_total)} `
        + `(${percent(system.disk_free / system.disk_total)})`),
      fact("Operating system", system.platform),
      fact("Python", system.python),
      fact("MLX", system.mlx),
      fact("mlx-lm", system.mlx_lm),
      Object.entries(system.versions ?? {})
        .filter(([name]) => !["mlx", "mlx-lm", "python", "cpt-studio", "cptstudio"].includes(name))
        .map(([name, version]) => fact(name, String(version)))),
    h("p", { class: "hint" }, "Apache-2.0 license. The interface uses Preact, signals, uPlot, and the Socket.IO "
      + "client (",
      h("a", { href: "/ui/vendor/LICENSES.txt", target: "_blank", rel: "noreferrer" }, "licenses"), ")."));
}

/** @param {string} title @param {string|null|undefined} text */
function fact(title, text) {
  return h("div", { key: title, class: "about-fact" }, h("dt", {}, title), h("dd", {}, text || "–"));
}

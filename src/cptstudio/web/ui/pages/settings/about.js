/** Versions, device, memory and disk. */

import { bytes, integer, percent } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/** @param {{system: any}} props the answer of /api/system, or null */
export function About({ system }) {
  return h("section", { class: "card", "aria-labelledby": "settings-about" },
    h("h2", { id: "settings-about" }, "About"),
    system === null ? h("p", { class: "muted" }, "…") : h("dl", { class: "about-facts" },
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

/** How the pages look and answer in this browser. */

import { h, withChecked } from "../../lib/preact.js";
import { colourScheme, shortcuts } from "../../lib/preferences.js";

const SCHEMES = [["system", "As the system"], ["light", "Light"], ["dark", "Dark"]];

export function Appearance() {
  return h("section", { class: "card", "aria-labelledby": "settings-appearance" },
    h("h2", { id: "settings-appearance" }, "Appearance"),
    h("p", { class: "hint" }, "Kept in this browser."),
    h("fieldset", { class: "field" },
      h("legend", {}, "Colours"),
      h("div", { class: "row settings-choices" }, SCHEMES.map(([value, label]) =>
        h("label", { key: value, class: "check" },
          h("input", { type: "radio", name: "colour-scheme", value, checked: colourScheme.value === value,
            onChange: () => { colourScheme.value = String(value); } }),
          label)))),
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

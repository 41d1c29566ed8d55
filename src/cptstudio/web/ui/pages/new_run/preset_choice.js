/** The choice of a preset. */

import { h } from "../../lib/preact.js";
import { Choice } from "./choice.js";
import { presetOf, PRESETS, withPreset } from "./presets.js";

/** @param {{form: import("./form.js").NewRunForm}} props */
export function PresetChoice({ form }) {
  if (form.fork) return null;
  const chosen = presetOf(form.values.value);
  return h("fieldset", { class: "presets" },
    h("legend", {}, "Preset ", h("span", { class: "hint" }, chosen === null ? "custom" : "")),
    h("div", { class: "choices choices-small" }, PRESETS.map((preset) => h(Choice, { key: preset.id, kind: "radio",
      name: "preset", title: preset.title, chosen: preset === chosen,
      choose: () => form.take(withPreset(form.values.value, preset)) },
      h("span", { class: "choice-facts" }, preset.text)))));
}

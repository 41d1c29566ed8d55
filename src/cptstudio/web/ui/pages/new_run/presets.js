/** Kinds of training that a newcomer can choose from: each is a few settings, the others stay chosen for you. */

import { same } from "./tree.js";

/** @typedef {import("./tree.js").Values} Values */
/** @typedef {{id: string, title: string, text: string, values: Values}} Preset */

/** @type {readonly Preset[]} */
export const PRESETS = [
  { id: "try", title: "Quick try", text: "50 steps to check that everything works.", values: { length: "50 steps" } },
  { id: "standard", title: "Standard", text: "One pass over your text.", values: {} },
  { id: "thorough", title: "Thorough", text: "Three passes: learns more, forgets more.",
    values: { length: "3 epochs" } },
  { id: "gentle", title: "Gentle", text: "One pass with LoRA: learns less, forgets less, uses less memory.",
    values: { "method.kind": "lora" } },
];

/** What a preset decides about. */
export const PRESET_SETTINGS = [...new Set(PRESETS.flatMap((preset) => Object.keys(preset.values)))];

/** The preset that was chosen; null where the settings are one's own. @param {Values} values */
export function presetOf(values) {
  return PRESETS.find((preset) => PRESET_SETTINGS.every((name) => same(values[name], preset.values[name]))) ?? null;
}

/** The values with those of a preset. @param {Values} values @param {Preset} preset @returns {Values} */
export function withPreset(values, preset) {
  const others = Object.entries(values).filter(([name]) => !PRESET_SETTINGS.includes(name));
  return { ...Object.fromEntries(others), ...preset.values };
}

import { h, withValue } from "../lib/preact.js";

/**
 * One choice of several.
 * @param {{value: any, choices: readonly any[][], none?: string, onChoose: (value: string) => void,
 *   [attribute: string]: any}} props
 * choices: value and words of each; none: the words of no choice, ""
 */
export function Select({ value, choices, none, onChoose, ...attributes }) {
  return h("select", { ...attributes, value, onChange: withValue(onChoose) },
    none !== undefined && h("option", { value: "" }, none),
    choices.map(([one, words]) => h("option", { key: one, value: one, selected: one === value }, words)));
}

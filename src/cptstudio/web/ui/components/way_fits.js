/** Which ways of training a model fit this machine. */

import { bytes } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { Icon } from "./elements.js";

/** @typedef {"full"|"lora"|"qlora"} Way */
/** @typedef {{needed: number, checkpointing: number, fit: "good"|"tight"|"none"}} WayFit */
/** @typedef {{[way in Way]?: WayFit}} Fits */

/** @type {[Way, string][]} */
const WAYS = [["full", "Full"], ["lora", "LoRA"], ["qlora", "QLoRA"]];
const WORDS = { good: "good fit", tight: "tight fit", none: "won't fit" };
const ICONS = { good: "check", tight: "minus", none: "close" };

/**
 * @param {{fits: Fits|null}} props fits: null while it is not known; a way that the model does not have is left out
 */
export function WayFits({ fits }) {
  return h("span", { class: "way-fits" }, WAYS.map(([way, title]) => {
    const one = fits?.[way];
    if (fits !== null && one === undefined) return null;
    return h("span", { key: way, class: `way-fit way-fit-${one?.fit ?? "unknown"}`,
      title: one && `One sequence takes ${bytes(one.checkpointing)} with gradient checkpointing, `
        + `${bytes(one.needed)} without.` },
      one && h(Icon, { name: ICONS[one.fit] }),
      h("span", { class: "way-name" }, `${title} `),
      one ? `${WORDS[one.fit]} · ${bytes(one.checkpointing)}` : "…");
  }));
}

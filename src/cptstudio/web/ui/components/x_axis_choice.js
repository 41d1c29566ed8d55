import { h } from "../lib/preact.js";
import { setQuery } from "../lib/router.js";
import { X_AXES } from "../lib/x_axes.js";
import { Segmented } from "./segmented.js";

/**
 * What the page's charts are drawn over; the choice is the URL's.
 * @param {{x: import("../lib/x_axes.js").XAxis}} props
 */
export function XAxisChoice({ x }) {
  return h(Segmented, { label: "X-axis", value: x,
    choices: Object.entries(X_AXES).map(([value, { choice }]) => /** @type {const} */ ([value, choice])),
    onChoose: (value) => setQuery({ x: value === "step" ? null : value, from: null, to: null }) });
}

import { h } from "../lib/preact.js";
import { setQuery } from "../lib/router.js";
import { X_AXES } from "../lib/x_axes.js";

/**
 * What the page's charts are drawn over; the choice is the URL's.
 * @param {{x: import("../lib/x_axes.js").XAxis}} props
 */
export function XAxisChoice({ x }) {
  const choose = (/** @type {string} */ value) =>
    setQuery({ x: value === "step" ? null : value, from: null, to: null });
  return h("fieldset", { class: "segments" },
    h("legend", { class: "visually-hidden" }, "Horizontal axis"),
    Object.entries(X_AXES).map(([value, { choice }]) => h("label", { key: value },
      h("input", { type: "radio", name: "x", value, checked: x === value, onChange: () => choose(value) }), choice)));
}

import { h } from "../lib/preact.js";

/**
 * What is shown where nothing is yet, and what to do about it.
 *
 * @param {{title: string, children?: any, actions?: any}} props
 */
export function Empty({ title, children, actions }) {
  return h("div", { class: "empty" },
    h("h2", {}, title),
    h("div", { class: "empty-body" }, children),
    actions && h("div", { class: "empty-actions" }, actions));
}

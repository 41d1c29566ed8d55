import { h } from "../../lib/preact.js";

export function MergeView() {
  return h("p", { class: "muted" }, "Not there yet.");
}

import { h } from "../../lib/preact.js";

export function SuitesView() {
  return h("p", { class: "muted" }, "Not there yet.");
}

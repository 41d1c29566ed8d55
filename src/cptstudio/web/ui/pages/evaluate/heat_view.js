import { h } from "../../lib/preact.js";

export function HeatView() {
  return h("p", { class: "muted" }, "Not there yet.");
}

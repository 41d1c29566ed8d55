/** Evaluate: what changed, in numbers. */
import { h } from "../lib/preact.js";

export default function Evaluate() {
  return h("div", { class: "stack" }, h("h1", {}, "Evaluate"));
}

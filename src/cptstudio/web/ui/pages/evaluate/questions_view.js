import { h } from "../../lib/preact.js";

export function QuestionsView() {
  return h("p", { class: "muted" }, "Not there yet.");
}

/** Where the answers of a model end, as its chat template and its files say. */
import { h } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { Icon } from "./elements.js";

/** @param {{label: string}} props label: the model's reference */
export function AnswerEnds({ label }) {
  const { data, error } = useResource("/api/chat/format", { id: label });
  if (error) return h("span", { class: "hint" }, error.message);
  if (!data) return h("span", { class: "hint", "aria-busy": "true" }, "reading the chat template…");
  if (!data.has_template) return h("span", {}, "no chat template");
  const ends = /** @type {{text: string, named_by: string[]}[]} */ (data.ends);
  return h("span", { class: "answer-ends" },
    ends.length === 0 && "no token",
    ends.map((end, index) => [index > 0 && ", ", h("code", { key: end.text, class: "break" }, end.text),
      ` (${end.named_by.join(", ")})`]),
    data.warning && h("span", { class: "notice notice-warn" }, h(Icon, { name: "alert" }),
      h("span", {}, data.warning)));
}

/** The texts that came with a model: its card and its license, as text and nothing else. */

import { h, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { bytes } from "../../lib/format.js";
import { Problem, Select } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { Skeleton } from "../../components/placeholders.js";

/** @param {string} name */
const titleOf = (name) => name === "README.md" ? "Model card" : name;

/** @param {{one: import("./words.js").ModelDetail}} props */
export function CardSection({ one }) {
  const { model, texts } = one;
  const [chosen, choose] = useState(texts[0]?.name ?? "");
  const { data, error, reload } = useResource("/api/models/text", { id: model.reference, name: chosen });
  return h(Card, { title: titleOf(chosen), icon: "book",
    actions: texts.length > 1 && h(Select, { "aria-label": "Text", value: chosen, onChoose: choose,
      choices: texts.map(({ name, bytes: size }) => [name, `${titleOf(name)}, ${bytes(size)}`]) }) },
    error !== null && h(Problem, { error, retry: reload }),
    data === null && error === null && h(Skeleton, { label: "Loading…", lines: 8 }),
    data !== null && h("pre", { class: "model-text", tabIndex: 0, role: "group", "aria-label": `Text of ${chosen}` },
      data.text.trim() || "This file is empty."));
}

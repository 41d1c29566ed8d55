/** A conversation as a model reads it: in its chat template, with the answers that are trained on. */

import { integer } from "../../lib/format.js";
import { Fragment, h, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { Problem, Select } from "../../components/elements.js";
import { Skeleton } from "../../components/placeholders.js";

/**
 * @typedef {object} Look
 * @property {{text: string, counts: boolean}[][]} texts
 * @property {boolean} shortened
 * @property {string[]} refused
 * @property {string} detail
 * @property {number} after
 * @property {number} thoughtless
 * @property {string|null} end
 */

/** @param {{path: string}} props path: of the document's API */
export function InTemplate({ path }) {
  const { data, error } = useResource("/api/models");
  const models = /** @type {any[]|null} */ (data?.models.filter((/** @type {any} */ one) => one.error === null)
    ?? null);
  const [chosen, setChosen] = useState("");
  const model = chosen || (models?.[0]?.id ?? "");
  if (error !== null) return h(Problem, { error });
  if (models === null) return h(Skeleton, { label: "Loading models…", lines: 2 });
  if (models.length === 0) return h("p", { class: "notice" }, "No models on this machine yet.");
  return h("div", { class: "stack" },
    h("div", { class: "row" },
      h("label", { for: "template-model" }, "Template of"),
      h(Select, { id: "template-model", value: model, onChoose: setChosen,
        choices: models.map((one) => [one.id, one.name]) })),
    h(Rendered, { key: model, path, model }));
}

/** @param {{path: string, model: string}} props */
function Rendered({ path, model }) {
  const { data, error, reload } = useResource(`${path}/template`, { model });
  const look = /** @type {Look|null} */ (data);
  if (error !== null) return h(Problem, { error, retry: reload });
  if (look === null) return h(Skeleton, { label: "Applying the template…", lines: 4 });
  const several = look.texts.length > 1;
  return h(Fragment, {},
    h("p", { class: "hint" }, look.texts.length === 0 ? "No answer of this conversation is trained on."
      : `Marked parts are trained on. ${look.end === null ? "" : `An answer ends with ${look.end}. `}`,
    several && "The template writes earlier turns differently later on, so each answer is a text of its own."),
    [...new Set(look.refused)].map((reason) => h("p", { key: reason, class: "notice" },
      `Answers left out: ${integer(look.refused.filter((one) => one === reason).length)}, since ${reason}`,
      reason === look.refused[0] && look.detail !== "" ? ` (${look.detail}).` : ".")),
    look.after > 0 && h("p", { class: "notice" },
      `Turns after the last answer, left out: ${integer(look.after)}.`),
    look.thoughtless > 0 && h("p", { class: "notice" },
      `The template leaves out the thinking of ${integer(look.thoughtless)} `
        + `${look.thoughtless === 1 ? "answer" : "answers"}.`),
    look.texts.map((pieces, place) => h("pre", { key: place, class: "preview-text", dir: "auto", tabIndex: 0,
      role: "group", "aria-label": several ? `Text ${integer(place + 1)} in the template` : "Text in the template" },
      pieces.map((piece, at) => piece.counts ? h("mark", { key: at, class: "template-answer" }, piece.text)
        : piece.text))),
    look.shortened && h("p", { class: "hint" }, "Preview truncated."));
}

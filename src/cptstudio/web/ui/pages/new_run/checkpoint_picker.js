/** A run's checkpoint as the base model: this run becomes its next stage. */

import { Select } from "../../components/elements.js";
import { useTestingModels } from "../../components/model_choice.js";
import { h, useId } from "../../lib/preact.js";
import { bits, integer } from "../../lib/format.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("../../components/model_choice.js").EvaluationModel} EvaluationModel */

/** @param {EvaluationModel} model */
const words = (model) => [
  `${model.run}, step ${integer(model.step ?? 0)}`, model.best && "best", model.last && "last",
  model.domain_bits_per_byte !== null && `${bits(model.domain_bits_per_byte)} bits/byte`,
].filter(Boolean).join(" · ");

/** @param {{form: NewRunForm, open: boolean}} props open: one is chosen */
export function CheckpointPicker({ form, open }) {
  const id = useId();
  const { models } = useTestingModels();
  const all = (models ?? []).filter((model) => model.kind === "checkpoint" && model.error === null);
  if (all.length === 0) return null;
  const whole = all.filter((model) => !model.adapter).reverse();
  const adapters = all.length - whole.length;
  const value = String(form.values.value["model.path"] ?? "");
  return h("details", { class: "model-other", open },
    h("summary", {}, "Start from a run's checkpoint (next stage)"),
    h("div", { class: "model-other-body" },
      h("label", { for: id }, "Checkpoint"),
      h(Select, { id, value: whole.some((model) => model.reference === value) ? value : "", none: "None",
        choices: whole.map((model) => [model.reference, words(model)]),
        onChoose: (reference) => form.set("model.path", reference) }),
      h("p", {}, "The new run trains this checkpoint further on other data, such as conversations after documents, "
        + "with a new optimizer and schedule. Both runs are shown as one lineage. To train the same run longer, "
        + "resume it.",
      adapters > 0 && ` ${adapters === 1 ? "1 adapter is" : `${integer(adapters)} adapters are`} not listed: an `
        + "adapter is fused into a complete model first, on the page Models under Export.")));
}

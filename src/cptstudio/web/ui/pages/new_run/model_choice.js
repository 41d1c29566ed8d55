/** A base model as a card: what it is, how large, and which ways of training fit this machine. */

import { Badge } from "../../components/elements.js";
import { WayFits } from "../../components/way_fits.js";
import { h } from "../../lib/preact.js";
import { Choice } from "./choice.js";
import { originOf, sizeOf, typeOf } from "./model_facts.js";

/** @typedef {import("./model_facts.js").Model} Model */

/**
 * @param {{model: Model, chosen: boolean, id: string, invalid: boolean, describedBy: string,
 *   fits: import("../../components/way_fits.js").Fits|null, choose: () => void}} props
 * fits: null while it is not known yet
 */
export function ModelChoice({ model, chosen, id, invalid, describedBy, fits, choose }) {
  const unusable = model.error !== null;
  return h(Choice, { kind: "radio", name: "model", id, title: model.name, chosen, invalid, describedBy,
    disabled: unusable && !chosen, choose,
    badges: !unusable && [
      model.has_chat_template !== null && h(Badge, { key: "kind", tone: "quiet" },
        model.has_chat_template ? "Chat" : "Base"),
      typeOf(model) !== "" && h(Badge, { key: "type", tone: model.quantization ? "info" : "quiet" }, typeOf(model)),
    ] },
    unusable ? h("span", { class: "choice-facts" }, `Unavailable: ${model.error}`) : [
      h("span", { class: "choice-facts", key: "size" }, sizeOf(model)),
      h("span", { class: "choice-facts", key: "origin" }, originOf(model)),
      h(WayFits, { key: "fits", fits }),
      !model.full_training.possible && h("span", { class: "choice-facts", key: "full" },
        `Full training unavailable: ${model.full_training.reason ?? "not possible"}`),
    ]);
}

/** What a model is, and where it came from. */

import { bytes, count, date, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { Problem } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { addressOf, KINDS, PLACES, weightsOf } from "./words.js";

/** @typedef {import("./words.js").Model} Model */
/** @typedef {import("./words.js").ModelLink} ModelLink */

/** @param {{model: Model, madeInto: ModelLink[]}} props */
export function Overview({ model, madeInto }) {
  return h("div", { class: "stack" },
    model.error !== null && h(Problem, { error: new Error(`This model can't be used: ${model.error}`) }),
    h(Card, { title: "About", icon: "info" }, h(Facts, { model })),
    h(Card, { title: "Made from", icon: "fork" }, model.made_from.length === 0 && model.origin === null
      ? h("p", { class: "muted" }, "Nothing is known.") : h(Links, { links: model.made_from })),
    madeInto.length > 0 && h(Card, { title: "Made into", icon: "fork" }, h(Links, { links: madeInto })));
}

/** @param {{model: Model}} props */
function Facts({ model }) {
  const facts = [
    ["Kind", KINDS[model.kind]],
    ["Architecture", model.architecture],
    ["Parameters", model.parameters === null ? null : count(model.parameters)],
    ["Weights", weightsOf(model)],
    ["Context length", model.context_length === null ? null : `${integer(model.context_length)} tokens`],
    ["Vocabulary", model.vocabulary_size === null ? null : integer(model.vocabulary_size)],
    ["Chat template", model.has_chat_template === null ? null : model.has_chat_template ? "Yes" : "No"],
    ["License", model.license],
    ["Size on disk", bytes(model.bytes)],
    ["Created", date(model.created)],
    ["Place", PLACES[model.place]],
    ["Folder", model.path],
  ];
  return h("dl", { class: "model-facts-list" }, facts.map(([title, value]) => h("div", { key: title },
    h("dt", {}, title), h("dd", { class: "break" }, value || "–"))));
}

/** @param {{links: ModelLink[]}} props */
function Links({ links }) {
  return h("ul", { class: "model-links" }, links.map((link) => h("li", { key: `${link.relation}-${link.label}` },
    link.reference === null
      ? h("span", { class: "break" }, link.label, " ", h("span", { class: "muted" }, "(not here)"))
      : h("a", { class: "break", href: addressOf(link.reference) }, link.label))));
}

/** What was chosen for the user and why, and what would make a run fit that does not. */

import { h } from "../../lib/preact.js";
import { bytes } from "../../lib/format.js";
import { announce } from "../../components/announce.js";
import { Button } from "../../components/elements.js";
import { goTo } from "./go_to.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** The steps to a run that fits, with a button that takes them all. @param {{form: NewRunForm}} props */
export function MakeItFit({ form }) {
  const way = form.plan.value?.make_it_fit ?? null;
  const facts = form.plan.value?.facts ?? null;
  if (way === null || facts === null) return null;
  const names = Object.keys(way.changes);
  const kept = names.filter((name) => form.fixed(name));
  const apply = () => {
    for (const name of names) form.set(name, way.changes[name]);
    announce("Settings changed to fit this machine.");
  };
  return h("section", { class: "fit", "aria-labelledby": "plan-fit" },
    h("h3", { id: "plan-fit", tabIndex: -1 }, way.fits ? "Make it fit" : "No settings fit this machine"),
    h("ol", { class: "fit-steps" },
      h("li", { class: "fit-step" }, h("span", {}, "Now"), h("span", { class: "fit-memory" },
        bytes(facts.memory_bytes))),
      way.steps.map((step) => h("li", { key: step.title, class: "fit-step" },
        h("span", {}, step.title), h("span", { class: "fit-memory" }, bytes(step.memory_bytes)),
        h("span", { class: "hint" }, step.note)))),
    h("p", { class: "hint" }, way.sentence
      ?? `Runs can use up to ${bytes(facts.memory_room_bytes)} here: plans are estimates, and other programs `
        + "need memory, too."),
    kept.length > 0 && h("p", { class: "hint" },
      "A fork keeps its parent's model and method. Create a new run instead."),
    way.ready && kept.length === 0 && h(Button, { small: true, onClick: apply }, "Make it fit"));
}

/** What was chosen, each with its reason. @param {{form: NewRunForm}} props */
export function Choices({ form }) {
  const choices = form.plan.value?.choices ?? [];
  if (choices.length === 0) return null;
  return h("details", { class: "plan-chosen" },
    h("summary", {}, "Automatic settings and why"),
    h("ul", {}, choices.map(({ field, value, reason }) => h("li", { key: field },
      h("button", { type: "button", class: "link", onClick: () => goTo(form, field) },
        form.byName.value.get(field)?.title ?? field),
      h("span", { class: "plan-chosen-value" }, value),
      h("span", { class: "hint" }, reason)))));
}

/** A conversation of a corpus: its turns as people read them, never as JSON. */

import { integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/**
 * @typedef {object} Turn
 * @property {string} role
 * @property {string} content
 * @property {string|null} name
 * @property {string|null} reasoning
 * @property {{name: string, arguments: string}[]} calls
 * @property {string|null} answers id of the call that a tool's turn answers
 */

/** @type {ReadonlyMap<string, string>} */
export const ROLES = new Map([["system", "System"], ["developer", "Developer"], ["user", "User"],
  ["assistant", "Assistant"], ["tool", "Tool"]]);

/**
 * @param {{label: string, turns: readonly Turn[], tools: readonly string[], mark: (text: string) => any}} props
 * mark: shows what is sought in a text
 */
export function Conversation({ label, turns, tools, mark }) {
  return h("div", { class: "conversation", tabIndex: 0, role: "group", "aria-label": `Turns of ${label}` },
    tools.length > 0 && h("details", { class: "turn-more" },
      h("summary", {}, `${integer(tools.length)} ${tools.length === 1 ? "tool" : "tools"} offered`),
      tools.map((tool, place) => h("pre", { key: place, class: "turn-code" }, tool))),
    h("ol", { class: "conversation-turns" }, turns.map((turn, place) => h(TurnLine, { key: place, turn, mark }))));
}

/** @param {{turn: Turn, mark: (text: string) => any}} props */
function TurnLine({ turn, mark }) {
  const said = [turn.name, turn.answers !== null && `answers ${turn.answers}`].filter(Boolean).join(", ");
  return h("li", { class: `conversation-turn conversation-${turn.role}` },
    h("p", { class: "conversation-role" }, ROLES.get(turn.role) ?? turn.role,
      said !== "" && h("span", { class: "hint" }, ` ${said}`)),
    turn.reasoning !== null && h("details", { class: "turn-more" },
      h("summary", {}, "Thinking"),
      h("div", { class: "conversation-text", dir: "auto" }, mark(turn.reasoning))),
    turn.content !== "" && h("div", { class: "conversation-text", dir: "auto" }, mark(turn.content)),
    turn.content === "" && turn.calls.length === 0 && h("p", { class: "hint" }, "(empty)"),
    turn.calls.map((call, place) => h("div", { key: place, class: "conversation-call" },
      h("p", { class: "hint" }, "Calls ", h("code", {}, call.name)),
      h("pre", { class: "turn-code" }, call.arguments))));
}

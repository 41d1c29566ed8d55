/** What the conversations of a corpus are like: turns, roles, lengths, what was left out. */

import { count, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { BarTable } from "../../components/bar_table.js";
import { ROLES } from "./conversation.js";

/**
 * @typedef {object} Talks
 * @property {{[form: string]: number}} forms
 * @property {{[reason: string]: number}} left_out
 * @property {{[role: string]: {turns: number, characters: number}}} roles
 * @property {{[turns: string]: number}} turns
 * @property {{[characters: string]: number}} characters
 * @property {number} longest_turns
 * @property {number} longest_characters
 * @property {[number, number]} answer_characters median and longest
 * @property {number} with_system
 * @property {number} with_tools
 * @property {number} with_calls
 * @property {number} with_reasoning
 * @property {number} unanswered
 * @property {number|null} systems
 * @property {{text: string, conversations: number}[]} shared_systems
 */

/** @param {{talks: Talks}} props */
export function Turns({ talks }) {
  return h("section", { class: "report-section", "aria-labelledby": "report-turns" },
    h("h2", { id: "report-turns" }, "Turns"),
    h(BarTable, { caption: "Turns by role", columns: ["Role", "Turns", "Characters"],
      bars: Object.entries(talks.roles).map(([role, one]) => ({ label: ROLES.get(role) ?? role,
        values: [integer(one.turns), count(one.characters)], size: one.characters })) }),
    h("p", { class: "hint" }, `Median answer: ${integer(talks.answer_characters[0])} characters; longest: `
      + `${integer(talks.answer_characters[1])}.`),
    h(BarTable, { caption: "Conversations by number of turns", columns: ["Turns", "Conversations"],
      bars: bars(talks.turns) }),
    h(BarTable, { caption: "Conversations by number of characters", columns: ["Characters", "Conversations"],
      bars: bars(talks.characters) }),
    h("p", { class: "hint" }, `Longest: ${integer(talks.longest_turns)} turns, `
      + `${integer(talks.longest_characters)} characters.`));
}

/** @param {{talks: Talks}} props */
export function ReadAndLeftOut({ talks }) {
  const leftOut = Object.entries(talks.left_out);
  const having = [["reasoning", talks.with_reasoning], ["tools", talks.with_tools], ["tool calls", talks.with_calls],
    ["no answer to the last turn", talks.unanswered]].filter(([, amount]) => Number(amount) > 0);
  return h("section", { class: "report-section", "aria-labelledby": "report-read" },
    h("h2", { id: "report-read" }, "Read and left out"),
    h(BarTable, { caption: "Records read, by form", columns: ["Form", "Conversations"], bars: bars(talks.forms) }),
    leftOut.length === 0 ? h("p", { class: "hint" }, "Every record is a conversation.")
      : h(BarTable, { caption: "Records left out", columns: ["Reason", "Records"], bars: bars(talks.left_out) }),
    leftOut.length > 0 && h("p", { class: "hint" }, "File and line of the first ones are under Problems."),
    having.length > 0 && h(BarTable, { caption: "Conversations with", columns: ["Part", "Conversations"],
      bars: having.map(([what, amount]) => ({ label: String(what), values: [integer(Number(amount))],
        size: Number(amount) })) }),
    talks.with_system > 0 && h("div", {},
      h("h3", {}, "System prompts"),
      h("p", {}, `Conversations with one: ${integer(talks.with_system)}. Distinct: ${talks.systems === null
        ? "too many to count" : integer(talks.systems)}.`),
      h("ul", { class: "finding-list" }, talks.shared_systems.map((one, place) =>
        h("li", { key: place }, `In ${integer(one.conversations)}: `,
          one.text === "" ? "(empty)" : h("q", {}, one.text))))));
}

/** @param {{[label: string]: number}} counts */
function bars(counts) {
  return Object.entries(counts).map(([label, amount]) => ({ label, values: [integer(amount)], size: amount }));
}

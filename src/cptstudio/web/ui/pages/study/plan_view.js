/** What study texts would take. */

import { Stat, Stats } from "../../components/figures.js";
import { Card } from "../../components/layout.js";
import { Table } from "../../components/table.js";
import { count, duration, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";

/** The cost of what is left, in a sentence. @param {any} plan */
export function costWords(plan) {
  return plan.cost === null ? "Its cost is unknown: no prices were given." : `It will cost about ${money(plan.cost)}.`;
}

/** @param {number} value */
export const money = (value) => String(Number(value.toPrecision(3)));

/** @param {{plan: any}} props */
export function PlanView({ plan }) {
  const rows = Object.entries(plan.strategies).map(([name, one]) => ({ name, .../** @type {any} */ (one) }));
  const byRules = plan.writer === "templates";
  return h(Card, { title: "Plan", icon: "list" }, h("div", { class: "stack" },
    h(Stats, {},
      h(Stat, { title: "Texts", value: integer(plan.texts - plan.done),
        note: plan.done > 0 ? `${integer(plan.done)} are written already`
          : `from ${integer(plan.passages)} passages` }),
      h(Stat, { title: "Tokens", value: byRules ? "–" : count(plan.tokens_in + plan.tokens_out),
        note: byRules ? "No model writes"
          : `about ${count(plan.tokens_in)} sent, ${count(plan.tokens_out)} written` }),
      h(Stat, { title: "Time", value: plan.seconds === null ? "–" : duration(plan.seconds),
        note: plan.seconds === null ? "Known once some texts are written: try a few" : "at the speed so far" }),
      h(Stat, { title: "Cost", value: plan.sent_to === null ? "None" : plan.cost === null ? "–" : money(plan.cost),
        note: plan.sent_to === null ? "Nothing leaves this machine" : `sent to ${plan.sent_to}` })),
    plan.not_english > 0 && h("p", { class: "notice" },
      `${integer(plan.not_english)} passages are not English: templates leave them out.`),
    h(Table, { caption: "Texts by strategy", rows, rowKey: (row) => row.name, columns: [
      { id: "name", title: "Strategy", header: true, cell: (row) => row.name },
      { id: "texts", title: "Texts", number: true, cell: (row) => integer(row.texts) },
      { id: "done", title: "Written", number: true, cell: (row) => integer(row.done) },
      ...(byRules ? [] : [
        { id: "in", title: "Tokens sent", number: true, cell: (/** @type {any} */ row) => count(row.tokens_in) },
        { id: "out", title: "Tokens written", number: true, cell: (/** @type {any} */ row) => count(row.tokens_out) },
      ]),
    ] })));
}

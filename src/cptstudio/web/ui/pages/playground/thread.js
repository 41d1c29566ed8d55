/** The conversation: each message, and below it the answers side by side. */
import { Button } from "../../components/elements.js";
import { h } from "../../lib/preact.js";
import { AnswerCard } from "./answer_card.js";
import { answerOf, chat } from "./chat.js";
import { EditText } from "./edit_text.js";
import { session } from "./session.js";
import { randomSeed } from "./text_card.js";

/** @typedef {import("./chat.js").Exchange} Exchange */

/** @param {{place: number, exchange: Exchange, editing: boolean, edit: (editing: boolean) => void}} props */
function Message({ place, exchange, editing, edit }) {
  const busy = session.busy.value > 0;
  const name = `message ${place + 1}`;
  return h("div", { class: "chat-message" },
    h("h3", { class: "turn-role" }, "You"),
    editing
      ? h(EditText, { label: `Edit ${name}`, text: exchange.message, save: (/** @type {string} */ text) => {
        edit(false);
        chat.editMessage(place, text);
      }, cancel: () => edit(false) })
      : h("div", { class: "answer-text", dir: "auto" }, exchange.message),
    !editing && h("div", { class: "made-actions" },
      h(Button, { small: true, kind: "quiet", "aria-label": `Edit ${name}`, disabled: busy, onClick: () => edit(true) },
        "Edit"),
      h(Button, { small: true, kind: "quiet", icon: "again", "aria-label": `Ask again: ${name}`, disabled: busy,
        onClick: () => chat.askAgain(place, randomSeed()) }, "Ask again")));
}

/** The lane whose earlier answers a model saw, because it has none of its own. @param {Exchange[]} before
 *  @param {string} label */
function joinedAt(before, label) {
  const first = before.find((exchange) => exchange.answers.length
    && !exchange.answers.some((answer) => answer.label === label));
  return first ? answerOf(first, label).label : "";
}

/** @param {{editing: number, edit: (place: number) => void}} props editing: which message is changed, or -1 */
export function Thread({ editing, edit }) {
  const exchanges = chat.exchanges.value;
  if (!exchanges.length) return null;
  return h("section", { class: "card chat-thread", "aria-labelledby": "thread-title" },
    h("div", { class: "spread" },
      h("h2", { id: "thread-title" }, "Conversation"),
      h(Button, { small: true, disabled: session.busy.value > 0, onClick: () => chat.clear() }, "New conversation")),
    h("ol", { class: "chat-exchanges" }, exchanges.map((exchange, place) =>
      h("li", { key: exchange.id, class: "chat-exchange" },
        h(Message, { place, exchange, editing: editing === place, edit: (on) => edit(on ? place : -1) }),
        h("div", { class: `columns columns-${exchange.answers.length}` }, exchange.answers.map((text) =>
          h(AnswerCard, { key: text.label, place, text,
            joined: joinedAt(exchanges.slice(0, place), text.label) })))))));
}

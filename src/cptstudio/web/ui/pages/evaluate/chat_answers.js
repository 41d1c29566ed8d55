/** The answers themselves: one prompt at a time, the models' answers side by side. */

import { Badge, Field } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { rowName } from "./chat_words.js";

/** @param {{result: any}} props */
export function ChatAnswers({ result }) {
  const [wanted, setWanted] = useState(0);
  const prompts = /** @type {any[]} */ (result.prompts ?? []);
  const asked = /** @type {any[]} */ (result.points).filter((point) => point.habits !== null);
  const prompt = prompts[wanted];
  if (!prompt || asked.length === 0) return null;
  return h("section", { class: "stack", "aria-labelledby": "chat-answers" },
    h("h3", { id: "chat-answers" }, "Answers"),
    h(Field, { label: "Prompt", control: (attributes) => h("select", { ...attributes, value: String(wanted),
      onChange: withValue((text) => setWanted(Number(text))) },
      prompts.map((one, at) => h("option", { key: one.id, value: String(at), selected: at === wanted },
        `${at + 1}. ${one.text.length > 70 ? `${one.text.slice(0, 68)}…` : one.text}`))) }),
    h("p", { class: "prompt-text habit-prompt" }, prompt.text),
    h("ul", { class: "habit-answers" }, asked.map((point) => {
      const answer = point.habits.answers.find((/** @type {any} */ one) => one.id === prompt.id);
      return h("li", { key: point.label, class: "habit-answer" },
        h("b", { class: "break" }, rowName(point)),
        answer && h(Judged, { answer, most: result.max_tokens }),
        answer && h("p", { class: "prompt-text", tabIndex: 0, role: "group",
          "aria-label": `Answer of ${rowName(point)}` }, answer.text || "(empty)"));
    })));
}

/** @param {{answer: any, most: number}} props */
function Judged({ answer, most }) {
  return h("div", { class: "row" },
    answer.stopped
      ? h(Badge, { tone: "good", icon: "check" }, `stopped after ${integer(answer.tokens)} tokens`)
      : h(Badge, { tone: "bad", icon: "close" }, `still going at ${integer(most)} tokens`),
    answer.stray !== null && h(Badge, { tone: "bad", icon: "close" }, `contains ${answer.stray}`),
    answer.loop > 0 && h(Badge, { tone: "bad", icon: "close" }, `loops over ${integer(answer.loop)} words`),
    answer.fulfilled === true && h(Badge, { tone: "good", icon: "check" }, "instruction followed"),
    answer.fulfilled === false && h(Badge, { tone: "bad", icon: "close" }, "instruction not followed"));
}

/** What is said next, and what every answer is made with: system prompt, sampling, tokens that end an answer. */
import { AnswerEnds } from "../../components/answer_ends.js";
import { Button } from "../../components/elements.js";
import { h, useEffect, withValue } from "../../lib/preact.js";
import { route } from "../../lib/router.js";
import { askTags, chat, MOST_LANES } from "./chat.js";
import { Loading } from "./inference_bar.js";
import { NoticeOf } from "./notice.js";
import { prompt, system } from "./prompt_state.js";
import { samplingIsGood } from "./sampling.js";
import { session } from "./session.js";
import { SettingsForm } from "./settings_form.js";

/**
 * @param {{chosen: string[], possible: boolean, why: string, loads: string, editLast: () => void}} props
 *   possible: every model has a chat template; why: it cannot begin, or ""; loads: what is done first
 */
export function ChatForm({ chosen, possible, why, loads, editLast }) {
  useEffect(() => void askTags(), []);
  const { query } = route.value;
  const busy = session.busy.value > 0 || session.loading.value !== null;
  const talking = chat.exchanges.value.length > 0;
  const most = chosen.length > MOST_LANES ? `Chat compares up to ${MOST_LANES} models. Remove `
    + `${chosen.length - MOST_LANES === 1 ? "one" : chosen.length - MOST_LANES}.` : "";
  const reason = why || most || (possible ? "" : "Chat requires a chat template on every selected model.");
  const able = reason === "" && !busy && samplingIsGood(query) && prompt.value.trim() !== "";
  const send = () => {
    if (!able) return;
    chat.send(prompt.peek(), chosen);
    prompt.value = "";
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const coarse = matchMedia("(pointer: coarse)").matches;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing
      && (event.ctrlKey || event.metaKey || !coarse)) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && prompt.peek() === "" && talking && !busy) {
      event.preventDefault();
      editLast();
    }
  };
  return h("section", { class: "card prompt-card", "aria-labelledby": "chat-title" },
    h("h2", { id: "chat-title" }, talking ? "Next message" : "Chat"),
    h("div", { class: "field" },
      h("label", { for: "system" }, "System prompt"),
      h("textarea", { id: "system", rows: 2, value: system.value, dir: "auto",
        onInput: withValue((text) => { system.value = text; }) }),
      talking && h("p", { class: "hint" }, "A change applies from the next answer on.")),
    h("div", { class: "field" },
      h("label", { for: "prompt" }, talking ? "Your next message" : "Message"),
      h("textarea", { id: "prompt", rows: 3, dir: "auto", value: prompt.value, onKeyDown: keys,
        onInput: withValue((text) => { prompt.value = text; }) })),
    h(SettingsForm, { chat: true }),
    h("div", { class: "row" },
      busy
        ? h(Button, { kind: "primary", icon: "stop", key: "stop", onClick: () => session.stop() }, "Stop")
        : h(Button, { kind: "primary", icon: "play", key: "go", disabled: !able, onClick: send }, "Send"),
      h("span", { class: "hint" }, reason || (!busy && loads)
        || h("span", { class: "shortcut-hint" }, h("kbd", {}, "Enter"), " sends, ", h("kbd", {}, "Shift"), " ",
          h("kbd", {}, "Enter"), " adds a line", talking && [", ", h("kbd", { key: "up" }, "↑"),
            " edits the last message"]))),
    h(Loading, {}),
    session.notice.value && h(NoticeOf, {}),
    possible && chosen.length > 0 && most === "" && h("ul", { class: "chat-ends" },
      chosen.map((label) => h("li", { key: label, class: "hint" }, h("strong", { class: "break" }, label),
        " ends an answer at ", h(AnswerEnds, { label })))));
}

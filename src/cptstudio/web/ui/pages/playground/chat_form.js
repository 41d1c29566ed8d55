/** What is said next, and what every answer is made with: system prompt, sampling, tokens that end an answer. */
import { Button, Icon } from "../../components/elements.js";
import { h, useEffect, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { route } from "../../lib/router.js";
import { askTags, chat, MOST_LANES } from "./chat.js";
import { Loading } from "./inference_bar.js";
import { NoticeOf } from "./notice.js";
import { prompt, system } from "./prompt_state.js";
import { samplingIsGood } from "./sampling.js";
import { session } from "./session.js";
import { SettingsForm } from "./settings_form.js";
import { visible } from "./visible.js";

/** Where the answers of a model end, as its template and its files say. @param {{label: string}} props */
function Ends({ label }) {
  const { data, error } = useResource("/api/chat/format", { id: label });
  if (error) return h("li", { class: "hint" }, `${label}: ${error.message}`);
  if (!data) return h("li", { class: "hint", "aria-busy": "true" }, `${label}: reading the chat template…`);
  const ends = /** @type {{text: string, named_by: string[]}[]} */ (data.ends);
  return h("li", {},
    h("span", { class: "hint" }, h("strong", { class: "break" }, label), " ends an answer at ",
      ends.length === 0 && "no token",
      ends.map((end, index) => [index > 0 && ", ", h("code", { key: end.text }, visible(end.text)),
        ` (${end.named_by.join(", ")})`])),
    data.warning && h("div", { class: "notice notice-warn" }, h(Icon, { name: "alert" }), h("div", {}, data.warning)));
}

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
      chosen.map((label) => h(Ends, { key: label, label }))));
}

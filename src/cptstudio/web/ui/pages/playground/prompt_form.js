/** What is asked: raw text, or a message where all models have a chat template. */
import { Button, Icon } from "../../components/elements.js";
import { h, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { Loading } from "./inference_bar.js";
import { prompt, system } from "./prompt_state.js";
import { samplingIsGood, samplingOf, seedsOf } from "./sampling.js";
import { session } from "./session.js";
import { SettingsForm } from "./settings_form.js";
import { randomSeed } from "./text_card.js";

/** @typedef {import("./made_text.js").MadeText} MadeText */

/** Ask the chosen models. @param {string[]} chosen @param {Record<string, string>} query */
function generate(chosen, query) {
  closeKeyboard();
  void session.generate(chosen, seedsOf(query), samplingOf(query), () => ({ text: prompt.peek() }));
}

/** @param {string[]} chosen @param {Record<string, string>} query */
function send(chosen, query) {
  const message = { role: "user", content: prompt.peek() };
  const instruction = system.peek().trim() ? [{ role: "system", content: system.peek() }] : [];
  void session.generate(chosen, seedsOf(query), samplingOf(query), (_, text) => {
    const state = text?.state;
    return state && "chat" in state.origin
      ? { chat: [...state.origin.chat, { role: "assistant", content: state.string }, message] }
      : { chat: [...instruction, message] };
  });
  prompt.value = "";
}

/** On a phone the keyboard would cover what is written. */
function closeKeyboard() {
  if (matchMedia("(pointer: coarse)").matches && document.activeElement instanceof HTMLElement) {
    document.activeElement.blur();
  }
}

/** @param {{chat: boolean, possible: boolean}} props */
function ModeChoice({ chat, possible }) {
  const choose = (/** @type {string | null} */ mode) => {
    session.texts.value = session.busy.peek() ? session.texts.peek() : [];
    setQuery({ mode });
  };
  return h("fieldset", { class: "mode row" },
    h("legend", { class: "visually-hidden" }, "Prompt type"),
    h("label", { class: "check" }, h("input", { type: "radio", name: "mode", checked: !chat,
      onChange: () => choose(null) }), "Raw text"),
    h("label", { class: "check" }, h("input", { type: "radio", name: "mode", checked: chat,
      disabled: !possible && !chat, onChange: () => choose("chat") }), "Chat"),
    !possible && h("span", { class: "hint" }, "Chat requires a chat template on every selected model."));
}

/**
 * @param {{chosen: string[], chatPossible: boolean, why: string, loads: string}} props
 *   why: it cannot begin, or ""; loads: what is done first
 */
export function PromptForm({ chosen, chatPossible, why, loads }) {
  const { query } = route.value;
  const chat = query.mode === "chat";
  const busy = session.busy.value > 0 || session.loading.value !== null;
  const able = !why && !busy && samplingIsGood(query) && (!chat || (chatPossible && prompt.value.trim() !== ""));
  const talking = chat && session.texts.value.some((text) =>
    text.version.value >= 0 && text.state && "chat" in text.state.origin);
  const go = () => able && (chat ? send(chosen, query) : generate(chosen, query));
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      go();
    }
  };
  const again = () => {
    setQuery({ seed: randomSeed() });
    go2(chosen);
  };
  return h("section", { class: "card prompt-card", "aria-labelledby": "prompt-title" },
    h("div", { class: "spread" },
      h("h2", { id: "prompt-title" }, "Prompt"),
      h(ModeChoice, { chat, possible: chatPossible })),
    chat && h("div", { class: "field" },
      h("label", { for: "system" }, "System prompt"),
      h("textarea", { id: "system", rows: 2, value: system.value, disabled: talking,
        onInput: withValue((text) => { system.value = text; }) }),
      talking && h("p", { class: "hint" }, "Used by the conversation below. Start a new one to change it.")),
    h("div", { class: "field" },
      h("label", { for: "prompt", class: chat ? undefined : "visually-hidden" },
        chat ? (talking ? "Your next message" : "Message") : "Text to continue"),
      h("textarea", {
        id: "prompt", class: "prompt-text", rows: chat ? 3 : 5, spellcheck: false, dir: "auto", value: prompt.value,
        onKeyDown: keys,
        placeholder: chat ? "" : "Type a prompt to continue…",
        onInput: withValue((text) => { prompt.value = text; }),
      })),
    h(SettingsForm, { chat }),
    h("div", { class: "row" },
      busy
        ? h(Button, { kind: "primary", icon: "stop", key: "stop", onClick: () => session.stop() }, "Stop")
        : h(Button, { kind: "primary", icon: "play", key: "go", disabled: !able, onClick: go },
          chat ? "Send" : "Generate"),
      !chat && session.texts.value.length > 0 && h(Button, { icon: "again", disabled: !able, onClick: again },
        "Regenerate with new seed"),
      talking && h(Button, { disabled: busy, onClick: () => { session.texts.value = []; } }, "New conversation"),
      h("span", { class: "hint" }, why || (!busy && loads)
        || h("span", { class: "shortcut-hint" }, h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Enter")))),
    h(Loading, {}),
    session.notice.value && h(NoticeOf, {}));
}

/** With what the URL says by now. @param {string[]} chosen */
const go2 = (chosen) => generate(chosen, route.peek().query);

function NoticeOf() {
  const notice = session.notice.value;
  return notice && h("div", { class: "notice notice-bad", role: "alert" }, h(Icon, { name: "alert" }),
    h("div", { class: "stack notice-stack" },
      h("p", {}, notice.message),
      notice.problems.length > 0 && h("ul", {},
        notice.problems.map((sentence) => h("li", { key: sentence }, sentence))),
      h("div", { class: "row" },
        h(Button, { small: true, onClick: () => { session.notice.value = null; } }, "Close"))));
}

/** Raw text that goes on, or a conversation. */
import { h } from "../../lib/preact.js";
import { setQuery } from "../../lib/router.js";

/** @param {{chat: boolean, possible: boolean}} props */
export function ModeChoice({ chat, possible }) {
  const choose = (/** @type {string | null} */ mode) => setQuery({ mode });
  return h("fieldset", { class: "mode row" },
    h("legend", { class: "visually-hidden" }, "Prompt type"),
    h("label", { class: "check" }, h("input", { type: "radio", name: "mode", checked: !chat,
      onChange: () => choose(null) }), "Raw text"),
    h("label", { class: "check" }, h("input", { type: "radio", name: "mode", checked: chat,
      disabled: !possible && !chat, onChange: () => choose("chat") }), "Chat"),
    !possible && h("span", { class: "hint" }, "Chat requires a chat template on every selected model."));
}

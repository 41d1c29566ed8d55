/** What is asked: raw text that models go on from. */
import { Button } from "../../components/elements.js";
import { h, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { Loading } from "./inference_bar.js";
import { NoticeOf } from "./notice.js";
import { prompt } from "./prompt_state.js";
import { samplingIsGood, samplingOf, seedsOf } from "./sampling.js";
import { session } from "./session.js";
import { SettingsForm } from "./settings_form.js";
import { randomSeed } from "./text_card.js";

/** Ask the chosen models. @param {string[]} chosen @param {Record<string, string>} query */
function generate(chosen, query) {
  closeKeyboard();
  void session.generate(chosen, seedsOf(query), samplingOf(query), () => ({ text: prompt.peek() }));
}

/** On a phone the keyboard would cover what is written. */
function closeKeyboard() {
  if (matchMedia("(pointer: coarse)").matches && document.activeElement instanceof HTMLElement) {
    document.activeElement.blur();
  }
}

/**
 * @param {{chosen: string[], why: string, loads: string}} props
 *   why: it cannot begin, or ""; loads: what is done first
 */
export function PromptForm({ chosen, why, loads }) {
  const { query } = route.value;
  const busy = session.busy.value > 0 || session.loading.value !== null;
  const able = !why && !busy && samplingIsGood(query);
  const go = () => able && generate(chosen, query);
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
    h("h2", { id: "prompt-title" }, "Prompt"),
    h("div", { class: "field" },
      h("label", { for: "prompt", class: "visually-hidden" }, "Text to continue"),
      h("textarea", {
        id: "prompt", class: "prompt-text", rows: 5, spellcheck: false, dir: "auto", value: prompt.value,
        onKeyDown: keys, placeholder: "Type a prompt to continue…",
        onInput: withValue((text) => { prompt.value = text; }),
      })),
    h(SettingsForm, { chat: false }),
    h("div", { class: "row" },
      busy
        ? h(Button, { kind: "primary", icon: "stop", key: "stop", onClick: () => session.stop() }, "Stop")
        : h(Button, { kind: "primary", icon: "play", key: "go", disabled: !able, onClick: go }, "Generate"),
      session.texts.value.length > 0 && h(Button, { icon: "again", disabled: !able, onClick: again },
        "Regenerate with new seed"),
      h("span", { class: "hint" }, why || (!busy && loads)
        || h("span", { class: "shortcut-hint" }, h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Enter")))),
    h(Loading, {}),
    session.notice.value && h(NoticeOf, {}));
}

/** With what the URL says by now. @param {string[]} chosen */
const go2 = (chosen) => generate(chosen, route.peek().query);

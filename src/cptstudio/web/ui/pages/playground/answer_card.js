/** One model's answer in a conversation: what it says, why it ended, what can be done with it. */
import { copying } from "../../components/announce.js";
import { Badge, Button } from "../../components/elements.js";
import { Menu } from "../../components/menu.js";
import { partsOf } from "../../lib/answer_parts.js";
import { integer } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { chat, tags } from "./chat.js";
import { EditText } from "./edit_text.js";
import { UndoButtons } from "./popover.js";
import { session } from "./session.js";
import { factsOf, LaneOf, PromptTokens, randomSeed } from "./text_card.js";

/** @typedef {import("./made_text.js").MadeText} MadeText */
/** @typedef {import("../../lib/answer_parts.js").Part} Part */

const words = (/** @type {string} */ text) => text.trim().split(/\s+/).filter(Boolean).length;

/**
 * A part of an answer. Thinking is folded, unless there is nothing else.
 * @param {{part: Part, running: boolean, alone: boolean}} props running: this part still grows
 */
function AnswerPart({ part, running, alone }) {
  if (part.kind === "thinking") {
    const count = words(part.text);
    return h("details", { class: "answer-thinking", open: alone && !running ? true : undefined },
      h("summary", {}, running && part.open ? "Thinking…" : "Thinking",
        h("span", { class: "hint figures" }, ` ${integer(count)} ${count === 1 ? "word" : "words"}`,
          part.open && !running && ", not finished")),
      h("div", { class: "answer-text muted", dir: "auto" }, part.text.trim()));
  }
  if (part.kind === "call") {
    return h("figure", { class: "answer-call" },
      h("figcaption", { class: "hint" }, "Tool call (not run)"),
      h("pre", { class: "answer-text" }, part.text.trim()));
  }
  return h("div", { class: "answer-text", dir: "auto" }, part.text.trim());
}

/** @param {{text: MadeText}} props */
function Parts({ text }) {
  void text.version.value;
  const running = text.running.value;
  const { state } = text;
  const parts = state ? partsOf(state.string, state.finish === "edited" ? [] : tags.value, state.opens) : [];
  return h("div", { class: running ? "answer-parts answer-running" : "answer-parts" },
    parts.map((part, index) => h(AnswerPart, { key: index, part, alone: parts.length === 1,
      running: running && index === parts.length - 1 })),
    parts.length === 0 && h("p", { class: "muted" }, running ? "Waiting for the first token…" : "No output."));
}

/**
 * @param {{place: number, text: MadeText, joined: string}} props
 *   joined: whose earlier answers it saw in place of its own, or ""
 */
export function AnswerCard({ place, text, joined }) {
  const [editing, setEditing] = useState(false);
  const [shown, setShown] = useState(false);
  void text.version.value;
  const { state } = text;
  const running = text.running.value;
  const busy = session.busy.value > 0;
  const name = `Answer ${place + 1} of ${text.label}`;
  const known = state !== null && state.pieces.some((piece) => piece.token >= 0);
  return h("article", { class: "made-text answer", "aria-label": name },
    h("header", { class: "made-head" },
      h("h4", { class: "break" }, text.label),
      running && h(Badge, { tone: "live" }, "Generating"),
      state?.finish === "edited" && h(Badge, {}, "edited"),
      state?.finish === "failed" && h(Badge, { tone: "bad", icon: "alert" }, "Interrupted")),
    h("div", { class: "made-body answer-body" },
      editing
        ? h(EditText, { label: `Edit: ${name}`, text: state?.string ?? "", save: (/** @type {string} */ words) => {
          setEditing(false);
          chat.editAnswer(place, text, words);
        }, cancel: () => setEditing(false) })
        : shown && known ? h(LaneOf, { text, departs: null, baseline: null, coloured: true }) : h(Parts, { text })),
    h("footer", { class: "made-foot" },
      joined !== "" && h("p", { class: "hint" }, `Joined later: it sees the earlier answers of ${joined}.`),
      state && h("p", { class: "made-facts figures" }, factsOf(state, running)),
      state && !editing && h("div", { class: "made-actions" },
        state.finish === "length" || state.finish === "cancelled"
          ? h(Button, { small: true, icon: "play", "aria-label": `Continue: ${name}`,
            disabled: !text.canContinue || busy, onClick: () => session.goOn([text]) }, "Continue") : null,
        h(Button, { small: true, kind: "quiet", "aria-label": `Edit: ${name}`, disabled: busy,
          onClick: () => setEditing(true) }, "Edit"),
        (text.before.length > 0 || text.after.length > 0) && h(UndoButtons, { text }),
        h(Button, { small: true, kind: "quiet", "aria-label": `Copy: ${name}`,
          onClick: copying(() => text.state?.string ?? "") }, "Copy"),
        known && h(Button, { small: true, kind: "quiet", "aria-label": `Tokens: ${name}`, "aria-pressed": String(shown),
          onClick: () => setShown(!shown) }, "Tokens"),
        h(Menu, { label: `Regenerate: ${name}`, icon: "again", small: true, iconOnly: true, items: [
          { title: "Regenerate with new seed", disabled: busy,
            onChoose: () => chat.regenerate(place, text, randomSeed()) },
          { title: `Regenerate with seed ${state.seed}`, disabled: busy,
            onChoose: () => chat.regenerate(place, text, state.seed) },
        ] })),
      state && h(PromptTokens, { origin: state.origin, shown: state.shown, ids: state.prompt })));
}

/** One text of one model: its tokens, what it took, and what can be done with it. */
import { copying } from "../../components/announce.js";
import { Badge, Button } from "../../components/elements.js";
import { Menu } from "../../components/menu.js";
import { bytes, duration, integer, number } from "../../lib/format.js";
import { h, useLayoutEffect, useRef, useState } from "../../lib/preact.js";
import { Departure, pieceAt } from "./departure.js";
import { Lane } from "./lane.js";
import { closePopover, inspected, lookAt, lookAway, openAt, UndoButtons } from "./popover.js";
import { session } from "./session.js";
import { visible } from "./visible.js";

/** @typedef {import("./made_text.js").MadeText} MadeText */
/** @typedef {import("./made_text.js").State} State */

const PROMPT_END = 240;
const MOST_PROMPT_TOKENS = 400;
const FINISHES = /** @type {Record<string, string>} */ ({
  length: "token limit reached", cancelled: "stopped", failed: "broken off", edited: "edited by you",
  earlier: "earlier",
});

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

/** Seconds as short as they are measured. @param {number} seconds */
const exactly = (seconds) => (seconds < 10 ? `${number(seconds, 2)} s` : duration(seconds));

/** Why a text ended: the token or the stop sequence by name. @param {State} state */
function whyOf({ finish, endedBy, origin }) {
  const named = endedBy ? ` ${visible(endedBy)}` : "";
  if (finish === "end") return `${"chat" in origin ? "end of turn" : "end of text"}${named}`;
  return finish === "stop" ? `stop sequence${named}` : FINISHES[finish ?? ""];
}

/** @param {State} state @param {boolean} running */
export function factsOf(state, running) {
  if (state.finish === "earlier" || state.finish === "edited") return FINISHES[state.finish];
  return [
    !running && state.finish && "chat" in state.origin && whyOf(state),
    `${integer(state.pieces.filter((piece) => piece.token >= 0).length)} tokens`,
    state.rate != null && `${number(state.rate, 3)} tokens/s`,
    state.firstSeconds != null && `first token ${exactly(state.firstSeconds)}`,
    state.prompt && `prompt ${integer(state.prompt.length)} tokens`,
    state.memory != null && !("chat" in state.origin) && `memory ${bytes(state.memory)}`,
    !running && state.finish && !("chat" in state.origin) && whyOf(state),
  ].filter(Boolean).join(" · ");
}

// A state is filled in place: what is drawn of it is handed on part by part, for a component
// whose properties are the same objects as before is not drawn again.

/**
 * The end of what was asked, so that the text reads on from it.
 * @param {{origin: State["origin"], shown: string[]}} props
 */
function PromptEnd({ origin, shown }) {
  const text = "text" in origin ? origin.text : shown.join("");
  return text ? h("span", { class: "prompt-end" },
    text.length > PROMPT_END ? `…${text.slice(-PROMPT_END)}` : text) : null;
}

/** @param {{origin: State["origin"], shown: string[], ids: number[] | null}} props */
export function PromptTokens({ origin, shown, ids }) {
  const [open, setOpen] = useState(false);
  if (!ids) return null;
  const given = "text" in origin ? origin.text : null;
  const added = given !== null && shown.length > 0
    && !(shown[0] !== "" && given.trimStart().startsWith(shown[0].trimStart()));
  return h("details", { class: "prompt-tokens",
    onToggle: (/** @type {Event} */ event) => setOpen(/** @type {HTMLDetailsElement} */ (event.currentTarget).open) },
    h("summary", {}, `Prompt tokens: ${integer(ids.length)}`),
    open && h("p", { class: "hint" }, added
      ? "The tokenizer added the first token (BOS)."
      : given === null ? "Formatted with the model's chat template." : "This tokenizer adds no BOS token."),
    open && h("ol", { class: "token-list" }, ids.slice(0, MOST_PROMPT_TOKENS).map((id, index) =>
      h("li", { key: index }, h("code", { class: "token-shown" }, visible(shown[index] ?? "")), " ",
        h("span", { class: "hint figures" }, id),
        index === 0 && added && h("span", { class: "tag" }, "BOS")))),
    open && ids.length > MOST_PROMPT_TOKENS && h("p", { class: "hint" },
      `And ${integer(ids.length - MOST_PROMPT_TOKENS)} more.`));
}

/** @param {{text: MadeText, departs: number | null, baseline: MadeText | null, coloured: boolean}} props */
export function LaneOf({ text, departs, coloured }) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const lane = useRef(/** @type {Lane | null} */ (null));
  const version = text.version.value;
  const running = text.running.value;
  useLayoutEffect(() => {
    if (place.current) {
      lane.current = new Lane(place.current, {
        look: (index, element) => lookAt(text, index, element),
        leave: lookAway,
        open: (index, element) => openAt(text, index, element),
        undo: (again) => !text.running.value && (again ? text.redo() : text.undo()),
      });
    }
    return () => {
      if (inspected.peek()?.text === text) closePopover();
    };
  }, [text]);
  useLayoutEffect(() => {
    lane.current?.show(text.state);
    lane.current?.markDeparture(departs ?? -1);
  }, [version, departs]);
  const nothing = !text.state?.pieces.length;
  return [
    h("div", {
      key: "lane", ref: place, role: "group", "aria-label": `Output of ${text.label}`, dir: "auto",
      class: `lane${coloured ? " lane-coloured" : ""}${running ? " lane-running" : ""}`,
    }),
    nothing && h("span", { key: "none", class: "muted" },
      running ? "Waiting for the first token…" : "No output."),
  ];
}

/** @param {State | null} state @param {State | null | undefined} first @param {Departure} departure */
function departureOf(state, first, departure) {
  const place = state && first ? departure.find(first, state) : null;
  return state && place !== null ? { place, token: pieceAt(state.pieces, place) } : null;
}

/**
 * @param {{text: MadeText, baseline: MadeText | null, mark: boolean, coloured: boolean, heading: string}} props
 *   baseline: the text it is compared with; null for that one itself
 */
export function TextCard({ text, baseline, mark, coloured, heading }) {
  const [departure] = useState(() => new Departure());
  // What is read here draws anew.
  void [text.version.value, baseline?.version.value];
  const { state } = text;
  const running = text.running.value;
  const departs = mark && baseline ? departureOf(state, baseline.state, departure) : null;
  const equal = mark && baseline && !departs && state && !running && !baseline.running.value && state.pieces.length > 0;
  const name = text.label;
  return h("article", { class: "made-text", "aria-label": heading },
    h("header", { class: "made-head" },
      h("h3", { class: "break" }, name),
      running && h(Badge, { tone: "live" }, "Generating"),
      state?.finish === "failed" && h(Badge, { tone: "bad", icon: "alert" }, "Interrupted")),
    h("div", { class: "made-body" },
      state && h(PromptEnd, { origin: state.origin, shown: state.shown }),
      h(LaneOf, { text, departs: departs?.token ?? null, baseline, coloured })),
    h("footer", { class: "made-foot" },
      departs && baseline && h("p", { class: "hint departs-words" },
        departs.place === 0 ? `Diverges from ${baseline.label} at the first character.`
          : `Diverges from ${baseline.label} at token ${integer(departs.token + 1)} (${integer(departs.place)} `
            + `identical ${departs.place === 1 ? "character" : "characters"})`),
      equal && baseline && h("p", { class: "hint" },
        state?.string === baseline.state?.string
          ? `Identical to ${baseline.label}.`
          : `Identical to ${baseline.label} so far.`),
      state && h("p", { class: "made-facts figures" }, factsOf(state, running)),
      state && h("div", { class: "made-actions" },
        h(Button, { small: true, icon: "play", "aria-label": `Continue: ${name}`, disabled: !text.canContinue,
          title: state.finish === "end"
            ? "The model ended its output. Pick another token instead of the end to continue."
            : undefined, onClick: () => session.goOn([text]) }, "Continue"),
        h(UndoButtons, { text }),
        h(Button, { small: true, kind: "quiet", "aria-label": `Copy: ${name}`,
          onClick: copying(() => state?.string ?? "") }, "Copy"),
        h(Menu, { label: `Regenerate: ${name}`, icon: "again", small: true, iconOnly: true, items: [
          { title: "Regenerate with new seed", disabled: running,
            onChoose: () => session.regenerate(text, randomSeed()) },
          { title: `Regenerate with seed ${state.seed}`, disabled: running,
            onChoose: () => session.regenerate(text, state.seed) },
        ] })),
      state && h(PromptTokens, { origin: state.origin, shown: state.shown, ids: state.prompt })));
}

/** What else the model could have said at a place: shown on hover and focus, chosen by a click. */
import { Button } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { h, signal, useEffect, useLayoutEffect, useRef } from "../../lib/preact.js";
import { session } from "./session.js";
import { chance, visible } from "./visible.js";

/** @typedef {import("./made_text.js").MadeText} MadeText */
/**
 * @typedef {{text: MadeText, index: number, element: HTMLElement, pinned: boolean}} Inspected pinned: opened on purpose
 */

const LEAVE_MS = 180;
const LOOK_MS = 60;
const MARGIN = 8;

/** What is looked at; null: nothing. */
export const inspected = signal(/** @type {Inspected | null} */ (null));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {MadeText} text @param {number} index @param {HTMLElement} element */
export function lookAt(text, index, element) {
  clearTimeout(timer);
  if (inspected.peek()?.pinned) return;
  timer = setTimeout(() => { inspected.value = { text, index, element, pinned: false }; }, LOOK_MS);
}

/** @param {MadeText} text @param {number} index @param {HTMLElement} element */
export function openAt(text, index, element) {
  clearTimeout(timer);
  inspected.value = { text, index, element, pinned: true };
}

export function lookAway() {
  clearTimeout(timer);
  if (!inspected.peek()?.pinned) timer = setTimeout(() => { inspected.value = null; }, LEAVE_MS);
}

/** @param {boolean=} back give the focus back to the token */
export function closePopover(back) {
  clearTimeout(timer);
  const at = inspected.peek();
  inspected.value = null;
  if (back && at?.element.isConnected) {
    at.element.focus();
    clearTimeout(timer);
  }
}

/** Beside the token, inside the window. @param {HTMLElement} box @param {HTMLElement} token */
function place(box, token) {
  const [first] = token.getClientRects();
  const at = first ?? token.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const view = document.documentElement;
  const below = at.bottom + 6;
  const top = below + height + MARGIN <= view.clientHeight ? below : Math.max(MARGIN, at.top - height - 6);
  box.style.left = `${Math.max(MARGIN, Math.min(at.left - 12, view.clientWidth - width - MARGIN))}px`;
  box.style.top = `${Math.min(top, Math.max(MARGIN, view.clientHeight - height - MARGIN))}px`;
}

/** The popover; the page has it once. */
export function TokenPopover() {
  const at = inspected.value;
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const version = at?.text.version.value;
  const gone = at !== null && (!at.element.isConnected || !at.text.state?.pieces[at.index]);
  useLayoutEffect(() => {
    if (gone) {
      inspected.value = null;
    } else if (at && box.current) {
      place(box.current, at.element);
    }
  }, [at, gone, version]);
  useEffect(() => {
    if (at?.pinned) {
      const first = box.current?.querySelector("[aria-current=true], .alternative");
      /** @type {HTMLElement | null | undefined} */ (first)?.focus();
    }
  }, [at]);
  useEffect(() => {
    if (!at) return undefined;
    const away = (/** @type {Event} */ event) => {
      if (!(event.target instanceof Node
        && (box.current?.contains(event.target) || at.element.contains(event.target)))) {
        closePopover();
      }
    };
    const escape = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") closePopover(at.pinned);
    };
    const moved = () => box.current && at.element.isConnected && place(box.current, at.element);
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", escape);
    addEventListener("scroll", moved, true);
    addEventListener("resize", moved);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escape);
      removeEventListener("scroll", moved, true);
      removeEventListener("resize", moved);
    };
  }, [at]);
  if (!at || gone) return null;
  return h("div", {
    class: "token-popover", role: "dialog", "aria-label": `Token ${at.index + 1} of ${at.text.label}`, ref: box,
    onPointerEnter: () => clearTimeout(timer), onPointerLeave: lookAway,
    onFocusOut: (/** @type {FocusEvent} */ event) => {
      if (at.pinned && event.relatedTarget instanceof Node && !box.current?.contains(event.relatedTarget)) {
        closePopover();
      }
    },
  }, h(Content, { at }));
}

/** @param {{at: Inspected}} props */
function Content({ at }) {
  const { text, index } = at;
  const piece = /** @type {import("./made_text.js").Piece} */ (text.state?.pieces[index]);
  if (piece.token < 0) {
    return h("p", { class: "hint" },
      "This output is from your history, which doesn't store tokens. Regenerate it to see them.");
  }
  const rank = piece.alternatives.findIndex((one) => one.token === piece.token);
  const writing = text.running.value;
  return [
    h("p", { class: "token-facts", key: "facts" },
      h("code", { class: "token-shown" },
        piece.text ? visible(piece.text) : piece.finish === "end" ? "end of the text" : "part of a character"),
      h("span", {}, chance(piece.probability)),
      h("span", { class: "hint" }, `ID ${piece.token}, position ${integer(index + 1)}`,
        piece.chosen ? ", picked by you" : rank < 0 && `, not in the top ${piece.alternatives.length}`)),
    h("ol", { class: "alternatives", key: "list", onKeyDown: moveInList },
      piece.alternatives.map((one) => h("li", { key: one.token },
        h(Alternative, { one, at, taken: one.token === piece.token, writing })))),
    h("p", { class: "hint", key: "hint" }, writing
      ? "You can pick another token once generation stops."
      : "Pick a token to continue from it."),
  ];
}

/** @typedef {import("../../lib/inference.js").Alternative} Alternative */

/** @param {{one: Alternative, at: Inspected, taken: boolean, writing: boolean}} props */
function Alternative({ one, at, taken, writing }) {
  const choose = () => {
    closePopover(true);
    if (!taken) session.replace(at.text, at.index, one);
  };
  return h("button", {
    type: "button", class: `alternative${taken ? " alternative-taken" : ""}`,
    "aria-current": taken ? "true" : undefined,
    "aria-disabled": writing && !taken ? "true" : undefined,
    onClick: writing && !taken ? undefined : choose,
  },
    h("code", { class: "token-shown" }, one.text ? visible(one.text) : `token ${one.token}`),
    h("svg", { class: "chance-bar", "aria-hidden": "true", viewBox: "0 0 100 8", preserveAspectRatio: "none" },
      h("rect", { width: Math.max(0.75, 100 * one.probability), height: 8 })),
    h("span", { class: "chance" }, chance(one.probability)),
    h("span", { class: "taken" }, taken ? "taken" : ""));
}

/** @param {KeyboardEvent} event */
function moveInList(event) {
  const all = /** @type {HTMLElement[]} */ ([
    .../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")]);
  const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const targets = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
  if (event.key in targets) {
    event.preventDefault();
    all[Math.max(0, Math.min(targets[event.key], all.length - 1))]?.focus();
  }
}

/** Buttons for what the keyboard does too. @param {{text: MadeText}} props */
export function UndoButtons({ text }) {
  const able = !text.running.value && text.version.value >= 0;
  return [
    h(Button, { key: "undo", small: true, kind: "quiet", "aria-label": `Undo: ${text.label}`,
      disabled: !able || !text.before.length, onClick: () => text.undo() }, "Undo"),
    h(Button, { key: "redo", small: true, kind: "quiet", "aria-label": `Redo: ${text.label}`,
      disabled: !able || !text.after.length, onClick: () => text.redo() }, "Redo"),
  ];
}

/**
 * The tokens of one text in the document. New ones are appended; those that stand are never drawn
 * again, so that a long text costs no more than a short one. Models' words are only text nodes.
 */
import { chance, shade, spoken } from "./visible.js";

/** @typedef {import("./made_text.js").MadeText} MadeText */
/** @typedef {import("./made_text.js").State} State */

/** What a token's place in the text is told about: over, left, opened. */
/**
 * @typedef {{look: (index: number, element: HTMLElement) => void, leave: () => void,
 *   open: (index: number, element: HTMLElement) => void, undo: (again: boolean) => void}} LaneHandler
 */

const PAGE = 20;
/** After so many tokens the next line end begins a new block, so that only the last one is laid out again. */
const CHUNK = 60;

export class Lane {
  /** @param {HTMLElement} place @param {LaneHandler} handler */
  constructor(place, handler) {
    this.place = place;
    this.handler = handler;
    /** @type {import("./made_text.js").Piece[] | null} */
    this.pieces = null;
    /** @type {HTMLElement[]} */
    this.tokens = [];
    this.current = -1;
    this.departs = -1;
    this.hovered = -1;
    /** While the focus is only given back. */
    this.quiet = false;
    /** @type {HTMLElement | null} */
    this.chunk = null;
    this.inChunk = 0;
    this.ended = false;
    // Only a pointer that moves looks: text that grows under a resting one opens nothing.
    place.addEventListener("pointermove", (event) => {
      const index = this.indexOf(event.target);
      if (index >= 0 && index !== this.hovered && event.pointerType !== "touch") {
        handler.look(index, this.tokens[index]);
      }
      this.hovered = index;
    });
    place.addEventListener("pointerleave", () => {
      this.hovered = -1;
      handler.leave();
    });
    place.addEventListener("click", (event) => {
      const index = this.indexOf(event.target);
      if (index >= 0 && String(getSelection()) === "") {
        this.moveTo(index, true);
        handler.open(index, this.tokens[index]);
      }
    });
    place.addEventListener("focusin", (event) => {
      const index = this.indexOf(event.target);
      if (index >= 0 && !this.quiet) handler.look(index, this.tokens[index]);
    });
    place.addEventListener("focusout", () => handler.leave());
    place.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {EventTarget | null} target */
  indexOf(target) {
    const token = target instanceof HTMLElement ? target.closest(".token") : null;
    return token instanceof HTMLElement && this.place.contains(token) ? Number(token.dataset.index) : -1;
  }

  /** Bring the document up to a state. @param {State | null} state */
  show(state) {
    const pieces = state?.pieces ?? [];
    if (pieces !== this.pieces) {
      const hadFocus = this.place.contains(document.activeElement);
      const [at, departed] = [this.current, this.departs];
      this.place.replaceChildren();
      this.tokens = [];
      this.current = -1;
      this.departs = -1;
      this.chunk = null;
      this.pieces = pieces;
      this.append(pieces);
      this.markDeparture(departed);
      if (this.tokens.length) {
        this.quiet = true;
        this.moveTo(Math.max(0, Math.min(at, this.tokens.length - 1)), hadFocus);
        this.quiet = false;
      }
      return;
    }
    this.append(pieces);
    if (this.current < 0 && this.tokens.length) this.moveTo(0, false);
  }

  /** @param {import("./made_text.js").Piece[]} pieces */
  append(pieces) {
    if (pieces.length === this.tokens.length) return;
    for (let index = this.tokens.length; index < pieces.length; index += 1) {
      const piece = pieces[index];
      const token = document.createElement("span");
      token.className = `token shade-${shade(piece.probability)}`;
      token.classList.toggle("token-chosen", Boolean(piece.chosen));
      token.classList.toggle("token-end", piece.finish === "end");
      token.dataset.index = String(index);
      token.append(piece.text);
      this.tokens.push(token);
      this.chunkFor(piece.text).append(token);
    }
  }

  /** Where the next token goes. @param {string} text */
  chunkFor(text) {
    if (!this.chunk || (this.ended && this.inChunk >= CHUNK)) {
      // The first one flows on from the prompt; a block after a line end looks like the next line.
      const chunk = document.createElement(this.chunk ? "div" : "span");
      chunk.className = "chunk";
      this.place.append(chunk);
      this.chunk = chunk;
      this.inChunk = 0;
    }
    this.inChunk += 1;
    this.ended = text === "" ? this.ended : text.endsWith("\n");
    return this.chunk;
  }

  /** @param {number} index of the token where the text departs from the first one's; -1: none */
  markDeparture(index) {
    if (index !== this.departs) {
      this.tokens[this.departs]?.classList.remove("token-departs");
      this.tokens[index]?.classList.add("token-departs");
      this.departs = index;
    }
  }

  /**
   * Only the current token is a control, so that the text is read as a text.
   * @param {number} index @param {boolean} focus
   */
  moveTo(index, focus) {
    const before = this.tokens[this.current];
    const token = this.tokens[index];
    const piece = this.pieces?.[index];
    if (before && before !== token) {
      for (const name of ["role", "tabindex", "aria-label", "aria-haspopup"]) before.removeAttribute(name);
    }
    this.current = index;
    if (token && piece) {
      token.setAttribute("role", "button");
      token.setAttribute("tabindex", "0");
      token.setAttribute("aria-haspopup", "dialog");
      const what = piece.finish === "end" && !piece.text ? "end of the text" : spoken(piece.text);
      token.setAttribute("aria-label", `Token ${index + 1}: ${what}, ${chance(piece.probability)}`);
      if (focus) token.focus();
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const at = this.indexOf(event.target);
    if (at < 0) return;
    const last = this.tokens.length - 1;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      this.handler.undo(event.shiftKey);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, () => number>} */
    const targets = {
      ArrowRight: () => at + 1, ArrowLeft: () => at - 1, Home: () => 0, End: () => last,
      PageDown: () => at + PAGE, PageUp: () => at - PAGE,
      ArrowDown: () => this.inNextLine(at, 1), ArrowUp: () => this.inNextLine(at, -1),
    };
    if (event.key in targets) {
      event.preventDefault();
      this.moveTo(Math.max(0, Math.min(targets[event.key](), last)), true);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.handler.open(at, this.tokens[at]);
    }
  }

  /** The token below or above. @param {number} at @param {1 | -1} way */
  inNextLine(at, way) {
    const { top, left } = this.tokens[at].getBoundingClientRect();
    let best = at;
    let line = null;
    let nearest = Infinity;
    for (let index = at + way; index >= 0 && index < this.tokens.length; index += way) {
      const place = this.tokens[index].getBoundingClientRect();
      if (place.top === top) continue;
      line ??= place.top;
      if (place.top !== line) break;
      if (Math.abs(place.left - left) < nearest) {
        nearest = Math.abs(place.left - left);
        best = index;
      }
    }
    return best;
  }
}

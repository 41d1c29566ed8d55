/** One text that a model makes: its tokens, how it came about, and every former state of it. */
import { signal } from "../../lib/preact.js";

/** @typedef {import("../../lib/inference.js").Piece & {chosen?: boolean}} Piece chosen: by the user, not the model */
/** @typedef {{text: string} | {tokens: number[]} | {chat: import("../../lib/answer_parts.js").Message[]}} Prompt */
/**
 * How a text stands: made anew for every change, so that a former one can come back.
 * @typedef {object} State
 * @property {number} seed
 * @property {Prompt} origin what was asked first; regenerating asks it again
 * @property {any} sampling
 * @property {number[] | null} prompt token ids of `origin`; null until they are told
 * @property {string[]} shown the text of each of them
 * @property {Piece[]} pieces
 * @property {string} string the pieces' text
 * @property {string | null} finish "end", "length", "stop", "cancelled", "failed", "edited" by the user, or "earlier",
 *   where no more is known; null while it is made
 * @property {string | null} endedBy the token or the stop sequence that ended it
 * @property {string} opens the tag of thinking with which the prompt of a chat ended
 * @property {number | null} firstSeconds until the first token
 * @property {number | null} rate tokens in a second
 * @property {number | null} memory bytes of all loaded models
 */

const MOST_UNDOS = 50;

/** A text and its former states. */
export class MadeText {
  /** @param {string} label which model */
  constructor(label) {
    this.label = label;
    /** @type {State | null} */
    this.state = null;
    /** Counts up with every change. */
    this.version = signal(0);
    this.running = signal(false);
    /** @type {State[]} */
    this.before = [];
    /** @type {State[]} */
    this.after = [];
    this.asked = 0;
    this.firstAt = 0;
    this.countedFrom = 0;
  }

  changed() {
    this.version.value += 1;
  }

  /**
   * A new state, to be filled by pieces.
   *
   * @param {{seed: number, origin: Prompt, sampling: any}} given
   * @param {Piece[]} kept the beginning that stays
   */
  begin(given, kept = []) {
    if (this.state?.pieces.length) this.before = [...this.before.slice(1 - MOST_UNDOS), this.state];
    this.after = [];
    const goesOn = kept.length > 0 && this.state;
    this.state = {
      ...given,
      prompt: goesOn ? goesOn.prompt : null,
      shown: goesOn ? goesOn.shown : [],
      pieces: kept.slice(),
      string: kept.map((piece) => piece.text).join(""),
      finish: null,
      endedBy: null,
      opens: goesOn ? goesOn.opens : "",
      firstSeconds: null,
      rate: null,
      memory: null,
    };
    this.asked = performance.now();
    this.firstAt = 0;
    this.countedFrom = kept.length;
    this.running.value = true;
    this.changed();
  }

  /** The prompt's tokens, told when the work begins.
   *  @param {{prompt: number[], shown: string[], opens?: string}} told */
  takePrompt(told) {
    if (this.state && this.state.prompt === null) {
      this.state.prompt = told.prompt;
      this.state.shown = told.shown;
      this.state.opens = told.opens ?? "";
      this.changed();
    }
  }

  /** @param {Piece[]} pieces */
  add(pieces) {
    const state = this.state;
    if (!state || !pieces.length) return;
    const now = performance.now();
    if (!this.firstAt) {
      this.firstAt = now;
      state.firstSeconds = (now - this.asked) / 1000;
    }
    for (const piece of pieces) {
      state.pieces.push(piece);
      state.string += piece.text;
    }
    const made = state.pieces.length - this.countedFrom;
    state.rate = now > this.firstAt && made > 1 ? (made - 1) / ((now - this.firstAt) / 1000) : null;
    const last = pieces[pieces.length - 1];
    state.finish = last.finish;
    state.endedBy = last.ended_by ?? null;
    this.changed();
  }

  /**
   * The work on it is over.
   * @param {string} otherwise why, where the model gave no reason
   * @param {any} facts of the result, or null
   * @param {number | null} memory
   */
  end(otherwise, facts, memory) {
    if (this.state) {
      this.state.finish ??= otherwise;
      this.state.firstSeconds = facts?.first_token_seconds ?? this.state.firstSeconds;
      this.state.rate = facts?.tokens_per_second ?? this.state.rate;
      this.state.memory = memory;
    }
    this.running.value = false;
    this.changed();
  }

  /**
   * Show a text of which only the words are known.
   * @param {any} entry a text of the history
   * @param {Prompt} origin @param {any} sampling
   */
  restore(entry, origin, sampling) {
    this.begin({ seed: entry.seed, origin, sampling });
    const piece = { text_number: 0, token: -1, text: entry.text, probability: NaN, alternatives: [],
      finish: entry.finish, ended_by: entry.ended_by ?? null };
    if (this.state) this.state.opens = entry.opens ?? "";
    this.add(entry.text ? [piece] : []);
    this.end(entry.finish || "cancelled", entry, null);
  }

  /** Token ids of everything so far, or null where they are not known. @param {number=} count of the made ones */
  tokens(count) {
    const state = this.state;
    if (!state?.prompt || state.pieces.some((piece) => piece.token < 0)) return null;
    return [...state.prompt, ...state.pieces.slice(0, count).map((piece) => piece.token)];
  }

  get canContinue() {
    const { state } = this;
    return !this.running.value && state !== null && state.pieces.length > 0 && state.prompt !== null
      && state.finish !== "end" && state.finish !== "stop" && state.pieces[0].token >= 0;
  }

  undo() {
    const state = this.before.pop();
    if (state && this.state) {
      this.after.push(this.state);
      this.state = state;
      this.changed();
    }
  }

  redo() {
    const state = this.after.pop();
    if (state && this.state) {
      this.before.push(this.state);
      this.state = state;
      this.changed();
    }
  }
}

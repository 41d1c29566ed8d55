/**
 * Uploads: a few at a time, with progress of each and of all. One that fails says why and can be
 * tried again; the others go on.
 */

import { del, upload } from "../../lib/api.js";
import { integer } from "../../lib/format.js";
import { computed, signal } from "../../lib/preact.js";

/** @typedef {import("./dropped_files.js").FoundFile} FoundFile */
/** @typedef {"waiting"|"sending"|"done"|"failed"} State */

/**
 * @typedef {object} Upload
 * @property {number} number in the order they were added
 * @property {string} path
 * @property {File} file
 * @property {readonly string[]} include kinds that were included when it was added
 * @property {State} state
 * @property {number} sent bytes
 * @property {string|null} id given by the server
 * @property {string} error a sentence, "" where there is none
 */

/** Browsers open six connections to a server; some stay free for the rest of the page. */
const AT_ONCE = 3;

/** More files than this are better read from their folder, where nothing is copied. */
export const MOST_FILES = 5000;

export class UploadQueue {
  constructor() {
    /** @type {import("../../lib/preact.js").Signal<readonly Upload[]>} */
    this.uploads = signal([]);
    this.total = computed(() => this.uploads.value.reduce((sum, one) => sum + one.file.size, 0));
    this.sent = computed(() => this.uploads.value.reduce((sum, one) =>
      sum + (one.state === "done" ? one.file.size : one.sent), 0));
    this.busy = computed(() => this.uploads.value.some((one) => one.state === "waiting" || one.state === "sending"));
    this.failed = computed(() => this.uploads.value.filter((one) => one.state === "failed"));
    this.done = computed(() => this.uploads.value.filter((one) => one.state === "done"));
    this._next = 0;
    /** @type {Map<number, AbortController>} */
    this._running = new Map();
  }

  /**
   * Add files, those that are there already left out.
   * @param {readonly FoundFile[]} files
   * @param {readonly string[]} include kinds that are otherwise left aside
   * @returns {string} what was not added and why, "" where everything was
   */
  add(files, include = []) {
    const known = new Set(this.uploads.value.map((one) => `${one.path}\n${one.file.size}`));
    const fresh = files.filter(({ file, path }) => !known.has(`${path}\n${file.size}`));
    const room = MOST_FILES - this.uploads.value.length;
    const taken = fresh.slice(0, room).map(({ file, path }) => ({
      number: this._next++,
      path,
      file,
      include,
      state: /** @type {State} */ ("waiting"),
      sent: 0,
      id: null,
      error: "",
    }));
    this.uploads.value = [...this.uploads.value, ...taken];
    this._pump();
    const left = fresh.length - taken.length;
    if (left === 0) return "";
    return `${integer(left)} files were not added: uploads are limited to ${integer(MOST_FILES)} `
      + "files per corpus. Add the folder from this machine instead.";
  }

  /** Try a failed one again. @param {number} number */
  retry(number) {
    this._change(number, { state: "waiting", sent: 0, error: "" });
    this._pump();
  }

  /** Take one out, wherever it stands. @param {number} number */
  remove(number) {
    const one = this._find(number);
    this._running.get(number)?.abort();
    this.uploads.value = this.uploads.value.filter((other) => other.number !== number);
    if (one?.id) void del(`/api/uploads/${encodeURIComponent(one.id)}`).catch(() => undefined);
    this._pump();
  }

  /** Take all out, and what the server keeps of them. */
  clear() {
    for (const one of this.uploads.value) this.remove(one.number);
  }

  /** Forget them without touching the server: a build uses them now. */
  handOver() {
    this.uploads.value = [];
  }

  /** @param {number} number */
  _find(number) {
    return this.uploads.value.find((one) => one.number === number);
  }

  /** @param {number} number @param {Partial<Upload>} change */
  _change(number, change) {
    this.uploads.value = this.uploads.value.map((one) => (one.number === number ? { ...one, ...change } : one));
  }

  _pump() {
    for (const one of this.uploads.value) {
      if (this._running.size >= AT_ONCE) return;
      if (one.state === "waiting") void this._send(one);
    }
  }

  /** @param {Upload} one */
  async _send(one) {
    const abort = new AbortController();
    this._running.set(one.number, abort);
    this._change(one.number, { state: "sending" });
    try {
      const answer = await upload(one.file, (sent) => this._change(one.number, { sent }), abort.signal, one.path,
        one.include);
      if (this._find(one.number) === undefined) void del(`/api/uploads/${encodeURIComponent(answer.id)}`).catch(() =>
        undefined);
      else this._change(one.number, { state: "done", id: answer.id, sent: one.file.size });
    } catch (error) {
      this._change(one.number,
        { state: "failed", sent: 0, error: error instanceof Error ? error.message : String(error) });
    }
    this._running.delete(one.number);
    this._pump();
  }
}

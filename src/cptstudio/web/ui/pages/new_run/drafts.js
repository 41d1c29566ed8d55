/**
 * What was chosen and not started yet: kept in this tab, one draft for each address that a form was begun at, so that
 * neither a reload nor a link that begins another one loses it.
 */

/** @typedef {import("./tree.js").Values} Values */
/**
 * @typedef {{values: Values, name: string|null, url: string, saved: number}} Draft
 * url: path and query that the form was begun at; saved: Unix milliseconds
 */
/** @typedef {Pick<Storage, "getItem"|"setItem"|"removeItem"|"key"|"length">} Store */

const PREFIX = "cpt-studio.new-run.";
/** The draft of a page whose address names nothing. */
export const PLAIN = "plain";
/** More are not worth their place: the oldest goes. */
const MOST = 8;

export class Drafts {
  /** @param {Store} store */
  constructor(store) {
    this._store = store;
  }

  /** @param {string} id @param {Draft} draft */
  keep(id, draft) {
    for (const { id: old } of this._all().filter((one) => one.id !== id).slice(MOST - 1)) this.forget(old);
    try {
      this._store.setItem(PREFIX + id, JSON.stringify(draft));
    } catch {
      // The tab's store is full: the form goes on without a draft, and an older state of it must not come back.
      this.forget(id);
    }
  }

  /** @param {string} id */
  forget(id) {
    this._store.removeItem(PREFIX + id);
  }

  /** A draft; null where there is none that can be read. @param {string} id @returns {Draft|null} */
  find(id) {
    return readDraft(this._store.getItem(PREFIX + id));
  }

  /** The newest draft that is another one; null where there is none. @param {string} id */
  newestBesides(id) {
    return this._all().find((one) => one.id !== id) ?? null;
  }

  /** All drafts, the newest first. @returns {{id: string, draft: Draft}[]} */
  _all() {
    const found = [];
    for (let place = 0; place < this._store.length; place += 1) {
      const key = this._store.key(place) ?? "";
      const draft = key.startsWith(PREFIX) ? readDraft(this._store.getItem(key)) : null;
      if (draft !== null) found.push({ id: key.slice(PREFIX.length), draft });
    }
    return found.sort((one, other) => other.draft.saved - one.draft.saved);
  }
}

/** @param {string|null} text @returns {Draft|null} */
function readDraft(text) {
  try {
    const draft = JSON.parse(text ?? "null");
    if (draft === null || typeof draft !== "object" || draft.values === null || typeof draft.values !== "object") {
      return null;
    }
    return {
      values: draft.values,
      name: typeof draft.name === "string" ? draft.name : null,
      url: typeof draft.url === "string" && /^\/new(\?|$)/.test(draft.url) ? draft.url : "/new",
      saved: Number.isFinite(draft.saved) ? draft.saved : 0,
    };
  } catch {
    return null;
  }
}

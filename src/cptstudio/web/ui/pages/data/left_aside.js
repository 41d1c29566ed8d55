/**
 * What uploads leave aside: secrets, hidden files, and what tools make. The rules are the
 * server's, which refuses the same things; here they keep it from being sent at all.
 */

import { get } from "../../lib/api.js";
import { integer } from "../../lib/format.js";

/** @typedef {{kind: string, reason: string}} Aside */
/** @typedef {{path: string} & Aside} LeftAside */
/** @typedef {{kind: string, reason: string, folders: string[], files: string[]}} Rule */
/** @typedef {{rules: Rule[], marks: ({name: string} & Aside)[]}} Rules */

/** @type {Promise<Filter>|null} */
let loading = null;

/** The filter with the server's rules. @returns {Promise<Filter>} */
export function loadFilter() {
  loading ??= get("/api/uploads/left-aside").then((rules) => new Filter(rules));
  loading.catch(() => { loading = null; });
  return loading;
}

export class Filter {
  /** @param {Rules} given */
  constructor(given) {
    this._rules = given.rules.map(({ kind, reason, folders, files }) =>
      ({ kind, reason, folders: pattern(folders), files: pattern(files) }));
    this._marks = new Map(given.marks.map(({ name, kind, reason }) => [name, { kind, reason }]));
  }

  /**
   * Why a file or folder of this name is left aside; the first rule decides.
   * @param {string} name @param {boolean} folder
   * @param {readonly string[]} include kinds that are not left aside
   * @returns {Aside|null}
   */
  ofName(name, folder, include) {
    const rule = this._rules.find(({ folders, files }) => (folder ? folders : files).test(name));
    return rule === undefined || include.includes(rule.kind) ? null : { kind: rule.kind, reason: rule.reason };
  }

  /**
   * Divide files into those to take and what is left aside; of a folder that is left aside, only
   * the folder is told. The first folder of a path was chosen itself: it is left aside only as one
   * that may hold secrets.
   * @template {{path: string}} T
   * @param {readonly T[]} files paths with "/" between their parts
   * @param {readonly string[]} include @returns {{taken: T[], aside: LeftAside[]}}
   */
  divide(files, include) {
    /** @type {Map<string, Aside>} */
    const marked = new Map();
    for (const { path } of files) {
      const parts = path.split("/");
      const mark = this._marks.get((parts.at(-1) ?? "").toLowerCase());
      if (mark !== undefined && parts.length > 1 && !include.includes(mark.kind)) {
        marked.set(parts.slice(0, -1).join("/"), mark);
      }
    }
    /** @type {T[]} */
    const taken = [];
    /** @type {Map<string, LeftAside>} */
    const aside = new Map();
    for (const file of files) {
      const found = this._ofPath(file.path, marked, include);
      if (found === null) taken.push(file);
      else aside.set(found.path, found);
    }
    return { taken, aside: [...aside.values()] };
  }

  /**
   * @param {string} path @param {Map<string, Aside>} marked @param {readonly string[]} include
   * @returns {LeftAside|null}
   */
  _ofPath(path, marked, include) {
    const parts = path.split("/");
    for (const [place, name] of parts.entries()) {
      const here = parts.slice(0, place + 1).join("/");
      const found = marked.get(here) ?? this.ofName(name, place < parts.length - 1, include);
      const chosen = place === 0 && parts.length > 1 && found?.kind !== "secrets";
      if (found !== null && !chosen) return { path: here, ...found };
    }
    return null;
  }
}

/** A pattern for names in which "*" stands for anything. @param {readonly string[]} names */
function pattern(names) {
  const parts = names.map((name) =>
    name.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*"));
  return parts.length === 0 ? /(?!)/ : new RegExp(`^(?:${parts.join("|")})$`, "iu");
}

/** What was left aside, in a sentence; "" where nothing was. @param {readonly LeftAside[]} aside */
export function leftAsideInWords(aside) {
  if (aside.length === 0) return "";
  const shown = aside.slice(0, 5).map((one) => `${one.path} (${one.reason})`).join(", ");
  const more = aside.length > 5 ? ` and ${integer(aside.length - 5)} more` : "";
  return `Excluded: ${shown}${more}. To include them, select them under Options, then add them again.`;
}

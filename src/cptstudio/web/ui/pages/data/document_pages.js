/** Pages of documents from the server: a search goes on, answer by answer, until a page is full or it is stopped. */

import { get } from "../../lib/api.js";
import { useEffect, useRef, useState } from "../../lib/preact.js";

/**
 * @typedef {object} FoundDocument
 * @property {number} document its number, from 0
 * @property {string} label
 * @property {string} status its split, or why it was dropped
 * @property {boolean} kept
 * @property {number} bytes
 * @property {{before: string, found: string, after: string}} text
 * @property {boolean} in_name
 */

/**
 * @typedef {object} DocumentPage
 * @property {FoundDocument[]} documents
 * @property {number} first number of the first document that was looked through
 * @property {number} last number after the last one
 * @property {boolean} full there are no more on this page
 * @property {number} total documents with this status, whatever is sought
 * @property {number} count documents of the corpus
 */

export const PAGE = 25;

/** @typedef {{status: string, search: string, start: number, back: boolean}} Sought */

/**
 * The page that is sought, as far as it is known.
 * @param {string} path of the corpus's API @param {Sought} sought
 */
export function useDocumentPage(path, sought) {
  const [page, setPage] = useState(/** @type {DocumentPage|null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [searching, setSearching] = useState(true);
  const abort = useRef(new AbortController());
  const asked = JSON.stringify([path, sought]);

  /** @param {DocumentPage|null} before what is found already */
  const go = async (before) => {
    abort.current.abort();
    const mine = (abort.current = new AbortController());
    setSearching(true);
    setError(null);
    try {
      for (let known = before; known === null || !known.full;) {
        known = joined(known, await get(`${path}/browse`, {
          status: sought.status,
          search: sought.search,
          back: sought.back || null,
          start: known === null ? sought.start : sought.back ? known.first : known.last,
          limit: PAGE - (known?.documents.length ?? 0),
        }, mine.signal));
        if (mine.signal.aborted) return;
        setPage(known);
      }
    } catch (problem) {
      if (mine.signal.aborted) return;
      setError(problem);
    }
    setSearching(false);
  };
  useEffect(() => {
    void go(null);
    return () => abort.current.abort();
  }, [asked]);
  const stop = () => {
    abort.current.abort();
    setSearching(false);
  };
  return { page, error, searching, stop, goOn: () => void go(page), again: () => void go(null) };
}

/** @param {DocumentPage|null} known @param {DocumentPage} more @returns {DocumentPage} */
function joined(known, more) {
  if (known === null) return more;
  return {
    ...more,
    documents: [...known.documents, ...more.documents].sort((one, other) => one.document - other.document),
    first: Math.min(known.first, more.first),
    last: Math.max(known.last, more.last),
  };
}

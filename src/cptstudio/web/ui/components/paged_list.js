/** A list that the server gives in parts. */

import { get } from "../lib/api.js";
import { integer } from "../lib/format.js";
import { h, useEffect, useState } from "../lib/preact.js";
import { Button, Problem } from "./elements.js";

const PAGE = 25;

/**
 * @param {{title: string, path: string, query?: Record<string, any>, none: string, show: (answer: any) => any}} props
 * path: of the API; none: the sentence when there is nothing; show: draws a part of the list
 */
export function PagedList({ title, path, query = {}, none, show }) {
  const [offset, setOffset] = useState(0);
  const [page, setPage] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [tries, setTries] = useState(0);
  const asked = JSON.stringify(query);
  useEffect(() => setOffset(0), [path, asked]);
  useEffect(() => {
    const abort = new AbortController();
    get(path, { ...query, offset, limit: PAGE }, abort.signal).then(
      (answer) => {
        setPage(answer);
        setError(null);
      },
      (problem) => {
        if (!abort.signal.aborted) setError(problem);
      });
    return () => abort.abort();
  }, [path, asked, offset, tries]);
  if (error !== null) return h(Problem, { error, retry: () => setTries(tries + 1) });
  if (page === null) return h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  if (page.total === 0) return h("p", { class: "muted" }, none);
  const last = Math.min(page.offset + PAGE, page.total);
  return h("div", { class: "stack" },
    show(page),
    page.total > PAGE && h("nav", { class: "row", "aria-label": `${title}: parts` },
      h(Button, { small: true, disabled: page.offset === 0, onClick: () => setOffset(Math.max(0, offset - PAGE)) },
        "Previous"),
      h("span", { role: "status", class: "figures" },
        `${integer(page.offset + 1)} to ${integer(last)} of ${integer(page.total)}`),
      h(Button, { small: true, disabled: last >= page.total, onClick: () => setOffset(offset + PAGE) }, "Next")));
}

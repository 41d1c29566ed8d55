/** A run's train.log: its end, followed; the lines that hold given words; all of it as a file. */
import { Button, Problem } from "../../components/elements.js";
import { Icon } from "../../components/icons.js";
import { get } from "../../lib/api.js";
import { download } from "../../lib/download.js";
import { bytes, integer } from "../../lib/format.js";
import { h, useEffect, useLayoutEffect, useRef, useState } from "../../lib/preact.js";

const CHUNK = 65536;
const FOLLOW_MS = 2000;
const TYPED_MS = 250;
const MOST_TEXT = 2_000_000;
const MOST_MARKED = 5000;
const AT_ONCE = 500;

/** @typedef {{text: string, start: number, end: number, size: number}} Part */
/**
 * @typedef {{words: string, lines: {offset: number, text: string}[], total: number, capped: boolean, more: boolean}}
 *   Found
 */

/** Text with the words marked in it. @param {string} text @param {string} words */
function marked(text, words) {
  if (!words) return text;
  const parts = text.split(RegExp(`(${words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "iu"));
  if (parts.length > MOST_MARKED) return text;
  return parts.map((part, at) => (at % 2 ? h("mark", { key: at }, part) : part));
}

/**
 * The text of a part, with the line of a match set apart.
 * @param {Part} part @param {string} words @param {number | null} at
 */
function shown(part, words, at) {
  if (at == null || at < part.start || at >= part.end) return marked(part.text, words);
  // Offsets are bytes.
  const encoded = new TextEncoder().encode(part.text);
  const before = new TextDecoder().decode(encoded.slice(0, at - part.start));
  const [line] = part.text.slice(before.length).split("\n", 1);
  return [marked(before, words), h("span", { class: "log-here", key: "here" }, marked(line, words)),
    marked(part.text.slice(before.length + line.length), words)];
}

/** @param {{text: string, end: number}} before @param {{text: string, start: number, end: number}} answer */
function joined(before, answer) {
  // Offsets are bytes, so the new piece is cut from the end of the answer by its bytes.
  const fresh = answer.end - before.end;
  const encoded = new TextEncoder().encode(answer.text);
  return before.text + new TextDecoder().decode(encoded.slice(Math.max(0, encoded.length - fresh)));
}

/** The lines of a log that hold some words: found as one types. @param {string} path @param {string} words */
function useSearch(path, words) {
  const [found, setFound] = useState(/** @type {Found | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const turn = useRef(0);
  const look = async (/** @type {Found | null} */ before) => {
    turn.current += 1;
    const mine = turn.current;
    try {
      const after = before?.lines.length ? before.lines[before.lines.length - 1].offset + 1 : 0;
      const answer = await get(`${path}/search`, { words, after, limit: AT_ONCE });
      if (mine !== turn.current) return;
      setFound({ ...answer, words, lines: [...(before?.lines || []), ...answer.lines] });
      setError(null);
    } catch (failure) {
      if (mine === turn.current) setError(failure);
    }
  };
  useEffect(() => {
    if (!words) {
      turn.current += 1;
      setFound(null);
      return undefined;
    }
    const timer = setTimeout(() => void look(null), TYPED_MS);
    return () => clearTimeout(timer);
  }, [path, words]);
  const own = found && found.words === words ? found : null;
  return { found: own, error, more: () => look(own) };
}

/** @param {{run: any}} props */
export function Log({ run }) {
  const [part, setPart] = useState(/** @type {Part | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [follow, setFollow] = useState(true);
  const [words, setWords] = useState("");
  const [only, setOnly] = useState(false);
  const [at, setAt] = useState(-1);
  const box = useRef(/** @type {HTMLPreElement | null} */ (null));
  const path = `/api/runs/${run.id}/log`;
  const search = useSearch(path, words);
  const { found } = search;
  const known = useRef(part);
  known.current = part;
  const look = async () => {
    try {
      const answer = await get(path, { bytes: CHUNK });
      const before = known.current;
      // What came since is joined to what is here, where the two pieces overlap.
      const joins = before && answer.start <= before.end && answer.start >= before.start && answer.end >= before.end
        && before.text.length < MOST_TEXT;
      if (before && answer.end === before.end) return;
      setPart({ ...answer, text: joins ? joined(before, answer) : answer.text,
        start: joins ? before.start : answer.start });
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  const fetchPart = async (/** @type {Record<string, number>} */ query) => {
    setFollow(false);
    try {
      return await get(path, { bytes: CHUNK, ...query });
    } catch (failure) {
      setError(failure);
      return null;
    }
  };
  useEffect(() => {
    if (!follow && known.current) return undefined;
    void look();
    if (!run.state.alive || !follow) return undefined;
    const timer = setInterval(look, FOLLOW_MS);
    return () => clearInterval(timer);
  }, [run.id, run.state.alive, follow]);
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [part?.end, follow]);
  useEffect(() => setAt(-1), [words]);
  const match = found?.lines[at]?.offset ?? null;
  useLayoutEffect(() => {
    const here = /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector(".log-here"));
    if (here && box.current) box.current.scrollTop = here.offsetTop - box.current.clientHeight / 2;
  }, [match, part?.start, only]);

  const earlier = async () => {
    const answer = part && await fetchPart({ before: part.start });
    if (part && answer) setPart({ ...part, text: answer.text + part.text, start: answer.start });
  };
  const later = async () => {
    const answer = part && await fetchPart({ after: part.end });
    if (part && answer) setPart({ ...answer, text: part.text + answer.text, start: part.start });
  };
  const goTo = async (/** @type {number} */ number) => {
    const line = found?.lines[number];
    if (!line || !part) return;
    setAt(number);
    setOnly(false);
    setFollow(false);
    if (line.offset >= part.start && line.offset < part.end) return;
    const answer = await fetchPart({ before: Math.min(line.offset + CHUNK / 2, part.size) });
    if (answer && line.offset >= answer.start) setPart(answer);
  };
  const step = (/** @type {number} */ by) => {
    const count = found?.lines.length ?? 0;
    if (!found || !count) return;
    const next = at < 0 ? (by > 0 ? 0 : count - 1) : at + by;
    if (next >= count - 1 && found.more) void search.more();
    void goTo((next + count) % count);
  };
  const said = !words ? "" : !found ? "Searching…"
    : !found.total ? "No matches"
      : `${at < 0 ? "" : `${integer(at + 1)} of `}${integer(found.total)}${found.capped ? "+" : ""} `
        + `${found.total === 1 ? "line" : "lines"}`;
  const asked = Boolean(words && found?.total);
  return h("div", { class: "stack" },
    (error || search.error) && h(Problem, { error: error || search.error, retry: look }),
    h("div", { class: "log-tools", role: "search", "aria-label": "Log" },
      h("span", { class: "log-search" }, h(Icon, { name: "search" }),
        h("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log", value: words,
          onInput: (/** @type {any} */ event) => setWords(event.target.value.slice(0, 200)),
          onKeyDown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              step(event.shiftKey ? -1 : 1);
            }
          } })),
      h("span", { class: "log-count muted figures", role: "status" }, said),
      h(Button, { small: true, disabled: !asked, "aria-label": "Previous match", onClick: () => step(-1) }, "Previous"),
      h(Button, { small: true, disabled: !asked, "aria-label": "Next match", onClick: () => step(1) }, "Next"),
      h(Button, { small: true, disabled: !asked, "aria-pressed": only ? "true" : "false",
        onClick: () => setOnly(!only) }, "Only matching lines"),
      h("span", { class: "log-end" },
        run.state.alive && h("label", { class: "row" },
          h("input", { type: "checkbox", checked: follow, onChange: () => setFollow(!follow) }), "Follow"),
        h(Button, { small: true, icon: "download", disabled: !part?.size,
          onClick: () => download(`${path}/file`).catch(setError) }, "Download"))),
    only && asked
      ? h("ol", { class: "log log-lines", "aria-label": "Matching lines" },
        found?.lines.map((line, number) => h("li", { key: line.offset },
          h("button", { type: "button", title: "Show in context", onClick: () => void goTo(number) },
            marked(line.text, words)))),
        found?.more && h("li", {}, h(Button, { small: true, onClick: () => void search.more() }, "Show more")))
      : part && part.text && [
        part.start > 0 && h(Button, { key: "earlier", small: true, onClick: earlier }, "Show earlier lines"),
        h("pre", { key: "text", class: "log", ref: box, tabIndex: 0, "aria-label": "train.log" },
          shown(part, words, match)),
        part.end < part.size && !follow
          && h(Button, { key: "later", small: true, onClick: later }, "Show later lines"),
      ],
    part && h("p", { class: "hint" }, !part.size
      ? "The log is empty."
      : part.end - part.start < part.size
        ? `Showing ${bytes(part.end - part.start)} of ${bytes(part.size)}. Search covers the whole log.`
        : `${bytes(part.size)}`));
}

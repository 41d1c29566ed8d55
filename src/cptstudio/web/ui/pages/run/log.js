import { Button, Problem } from "../../components/elements.js";
import { get } from "../../lib/api.js";
import { bytes } from "../../lib/format.js";
import { h, useEffect, useLayoutEffect, useRef, useState } from "../../lib/preact.js";

const CHUNK = 65536;
const FOLLOW_MS = 2000;
const MOST_TEXT = 2_000_000;

/** The end of train.log, followed while the run lives. @param {{run: any}} props */
export function Log({ run }) {
  const [part,
    setPart] = useState(/** @type {{text: string, start: number, end: number, size: number} | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [follow, setFollow] = useState(true);
  const box = useRef(/** @type {HTMLPreElement | null} */ (null));
  const path = `/api/runs/${run.id}/log`;
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
      const text = joins ? joined(before, answer) : answer.text;
      setPart({ ...answer, text, start: joins ? before.start : answer.start });
      setError(null);
    } catch (failure) {
      setError(failure);
    }
  };
  useEffect(() => {
    void look();
    if (!run.state.alive || !follow) return undefined;
    const timer = setInterval(look, FOLLOW_MS);
    return () => clearInterval(timer);
  }, [run.id, run.state.alive, follow]);
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [part?.end, follow]);
  const earlier = async () => {
    if (part) {
      setFollow(false);
      try {
        const answer = await get(path, { bytes: CHUNK, before: part.start });
        setPart({ ...part, text: answer.text + part.text, start: answer.start });
      } catch (failure) {
        setError(failure);
      }
    }
  };
  return h("div", { class: "stack" },
    error && h(Problem, { error, retry: look }),
    part && h("div", { class: "spread" },
      h("p", { class: "muted" }, part.size
        ? `The last ${bytes(part.end - part.start)} of ${bytes(part.size)} of train.log`
        : "train.log is empty."),
      h("div", { class: "row" },
        part.start > 0 && h(Button, { small: true, onClick: earlier }, "Show earlier lines"),
        run.state.alive && h("label", { class: "row" },
          h("input", { type: "checkbox", checked: follow, onChange: () => setFollow(!follow) }), "Follow"))),
    part && part.text && h("pre", { class: "log", ref: box, tabIndex: 0, "aria-label": "train.log" }, part.text));
}

/** @param {{text: string, end: number}} before @param {{text: string, start: number, end: number}} answer */
function joined(before, answer) {
  // Offsets are bytes, so the new piece is cut from the end of the answer by its bytes.
  const fresh = answer.end - before.end;
  const encoded = new TextEncoder().encode(answer.text);
  return before.text + new TextDecoder().decode(encoded.slice(Math.max(0, encoded.length - fresh)));
}

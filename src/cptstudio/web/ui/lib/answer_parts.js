/**
 * The parts of an answer: what is said, thinking, tool calls. As `parts_of` of lm/chat_format.py; its table of tags
 * comes with GET /api/chat/tags.
 */

/** @typedef {"text" | "thinking" | "call"} Kind */
/** @typedef {[start: string, end: string, kind: Kind][]} Tags */
/** @typedef {{role: string, content: string, reasoning_content?: string}} Message */
/** @typedef {{kind: Kind, text: string, open: boolean, tags: [string, string]}} Part open: its end has not come */

/**
 * @param {string} answer as the model made it @param {Tags} tags
 * @param {string=} opens the tag of thinking with which the prompt ended
 * @returns {Part[]}
 */
export function partsOf(answer, tags, opens = "") {
  /** @type {Part[]} */
  const parts = [];
  let rest = opens && !answer.trimStart().startsWith(opens) ? opens + answer : answer;
  while (rest) {
    let place = -1;
    let [start, end, kind] = /** @type {[string, string, Kind]} */ (["", "", "text"]);
    for (const tag of tags) {
      const found = rest.indexOf(tag[0]);
      if (found >= 0 && (place < 0 || found < place || (found === place && tag[0].length > start.length))) {
        place = found;
        [start, end, kind] = tag;
      }
    }
    if (place < 0) {
      parts.push({ kind: "text", text: rest, open: false, tags: ["", ""] });
      break;
    }
    parts.push({ kind: "text", text: rest.slice(0, place), open: false, tags: ["", ""] });
    const inner = rest.slice(place + start.length);
    const until = end ? inner.indexOf(end) : -1;
    parts.push({ kind, text: until < 0 ? inner : inner.slice(0, until), open: until < 0, tags: [start, end] });
    rest = until < 0 ? "" : inner.slice(until + end.length);
  }
  return parts.filter((part) => part.text.trim() || part.kind === "thinking");
}

/**
 * An answer as a message of the next prompt, as `said_again` has it: thinking apart from what was said.
 * @param {string} answer @param {Tags} tags @param {string=} opens
 * @returns {Message}
 */
export function saidAgain(answer, tags, opens = "") {
  const parts = partsOf(answer, tags, opens);
  const thinking = parts.filter((part) => part.kind === "thinking").map((part) => part.text.trim());
  if (!thinking.length) return { role: "assistant", content: answer };
  const said = parts.filter((part) => part.kind !== "thinking").map((part) =>
    (part.kind === "text" ? part.text : `${part.tags[0]}${part.text}${part.tags[1]}`));
  const message = { role: "assistant", content: said.join("").trim() };
  const kept = thinking.filter(Boolean).join("\n");
  return kept ? { ...message, reasoning_content: kept } : message;
}

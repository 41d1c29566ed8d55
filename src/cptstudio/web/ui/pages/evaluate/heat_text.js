/**
 * A text with a colour behind each token. The tokens are plain elements that one component owns:
 * thousands of them cost nothing while the pointer moves.
 */

import { h, useEffect, useRef } from "../../lib/preact.js";

/** @typedef {import("./heat_cells.js").Cell} Cell */

/**
 * @param {{label: string, text: string, cells: Cell[], rest: number, classes: string[], chosen: number | null,
 *   onChoose: (index: number | null, how: "pointer" | "key") => void}} props
 * classes: of each cell; chosen: the cell that is told about
 */
export function HeatText({ label, text, cells, rest, classes, chosen, onChoose }) {
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const spans = useRef(/** @type {HTMLElement[]} */ ([]));
  const marked = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const made = cells.map((cell, index) => {
      const span = document.createElement("span");
      span.textContent = text.slice(cell.from, cell.to);
      span.dataset["cell"] = String(index);
      return span;
    });
    spans.current = made;
    marked.current = null;
    place.current?.replaceChildren(...made, text.slice(rest));
  }, [text, cells, rest]);
  useEffect(() => {
    spans.current.forEach((span, index) => {
      const cell = cells[index];
      const breaks = text.slice(cell.from, cell.to).includes("\n");
      span.className = breaks ? `heat-token heat-break ${classes[index]}` : `heat-token ${classes[index]}`;
    });
  }, [text, cells, classes]);
  useEffect(() => {
    marked.current?.classList.remove("heat-chosen");
    marked.current = chosen === null ? null : (spans.current[chosen] ?? null);
    marked.current?.classList.add("heat-chosen");
  }, [chosen, cells, classes]);

  const choose = (/** @type {number} */ index, /** @type {"pointer" | "key"} */ how) => {
    if (how === "key") spans.current[index]?.scrollIntoView({ block: "nearest" });
    onChoose(index, how);
  };
  const pointer = (/** @type {PointerEvent | MouseEvent} */ event) => {
    // The text may move under a pointer that rests, as when the arrow keys scroll it.
    if (event.type === "pointermove" && event.movementX === 0 && event.movementY === 0) return;
    const cell = event.target instanceof HTMLElement ? event.target.dataset["cell"] : undefined;
    if (cell !== undefined && Number(cell) !== chosen) choose(Number(cell), "pointer");
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || cells.length === 0) return;
    const now = chosen ?? -1;
    /** @type {Record<string, () => number>} */
    const moves = {
      ArrowRight: () => now + 1, ArrowLeft: () => Math.max(0, now - 1),
      ArrowDown: () => lineStep(spans.current, now, 1), ArrowUp: () => lineStep(spans.current, now, -1),
      Home: () => 0, End: () => cells.length - 1,
    };
    const move = moves[event.key];
    if (event.key === "Escape" && chosen !== null) onChoose(null, "key");
    if (!move) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(cells.length - 1, move())), "key");
  };
  return h("div", { ref: place, class: "heat-text", role: "group", tabIndex: 0,
    "aria-label": `${label}: use the arrow keys to move between tokens`,
    onPointerMove: pointer, onClick: pointer, onKeyDown: keys });
}

/**
 * The token above or below one, by where they stand on the screen.
 * @param {HTMLElement[]} spans @param {number} from @param {1 | -1} direction
 */
function lineStep(spans, from, direction) {
  const start = spans[from]?.getClientRects()[0];
  if (!start) return 0;
  let best = from;
  let line = null;
  let distance = Infinity;
  for (let at = from + direction; at >= 0 && at < spans.length; at += direction) {
    const box = spans[at].getClientRects()[0];
    if (!box) continue;
    const beyond = direction > 0 ? box.top > start.top + start.height / 2 : box.top < start.top - start.height / 2;
    if (!beyond) continue;
    if (line !== null && Math.abs(box.top - line) > box.height / 2) break;
    line ??= box.top;
    const away = Math.abs(box.left - start.left);
    if (away < distance) [best, distance] = [at, away];
  }
  return best;
}

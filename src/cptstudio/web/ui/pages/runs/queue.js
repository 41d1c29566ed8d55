/** Runs that wait for their turn: in what order, and whether they start by themselves. */
import { toast, toastError } from "../../components/announce.js";
import { Badge, Button, Icon } from "../../components/elements.js";
import { Card } from "../../components/layout.js";
import { toastDeleted } from "../../components/undo.js";
import { del, post } from "../../lib/api.js";
import { ago } from "../../lib/format.js";
import { status } from "../../lib/live.js";
import { h, useEffect, useRef, useState } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";

/** @param {string[]} order @param {string} run @param {number} place from 1 */
function moved(order, run, place) {
  const others = order.filter((one) => one !== run);
  return [...others.slice(0, place - 1), run, ...others.slice(place - 1)];
}

/** Runs that wait for the active ones. Nothing is shown where none waits. */
export function Queue() {
  const { busy, run: work } = useWork();
  const queue = status.value?.queue;
  const waiting = /** @type {any[]} */ (queue?.waiting ?? []);
  // What was dropped stands there at once, until the server says how it is. What it said before it had
  // answered may be older than the move.
  const [order, setOrder] = useState(/** @type {string[] | null} */ (null));
  const moving = useRef(0);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const drag = useRef("");
  const [over, setOver] = useState("");
  const [focus, setFocus] = useState(/** @type {{run: string, by: string} | null} */ (null));
  useEffect(() => {
    if (!moving.current) setOrder(null);
  }, [queue]);
  useEffect(() => {
    if (!focus) return;
    const item = [...(list.current?.children ?? [])].find((one) =>
      /** @type {HTMLElement} */ (one).dataset.run === focus.run);
    const buttons = /** @type {HTMLButtonElement[]} */ ([...(item?.querySelectorAll("button[data-by]") ?? [])]);
    (buttons.find((one) => one.dataset.by === focus.by && !one.disabled) ?? buttons.find((one) => !one.disabled))
      ?.focus();
    setFocus(null);
  });
  if (!waiting.length) return null;
  const names = order ?? waiting.map((item) => item.run);
  const items = names.flatMap((name) => waiting.find((item) => item.run === name) ?? []);
  const act = (/** @type {() => Promise<any>} */ deed, /** @type {string} */ done) =>
    work(() => deed().then(() => toast(done), toastError));
  const place = (/** @type {string} */ run, /** @type {number} */ to) => {
    if (to < 1 || to > names.length || (order === null && names[to - 1] === run)) return;
    setOrder(moved(names, run, to));
    moving.current += 1;
    void work(() => post(`/api/queue/${run}/move`, { place: to }).then(
      (answer) => {
        moving.current -= 1;
        if (!moving.current) setOrder(answer.waiting.map((/** @type {any} */ item) => item.run));
        toast(to === 1 ? `“${run}” is next.` : `“${run}” is #${to} in the queue.`);
      },
      (error) => {
        moving.current -= 1;
        setOrder(null);
        toastError(error);
      }));
  };
  const move = (/** @type {string} */ run, /** @type {number} */ to, /** @type {string} */ by) => {
    place(run, to);
    setFocus({ run, by });
  };
  const remove = (/** @type {string} */ run) => work(() => del(`/api/queue/${run}`).then(
    (answer) => toastDeleted(run, answer, { deed: "removed from the queue" }), toastError));
  const dropClass = (/** @type {string} */ run) => {
    if (run !== over || run === drag.current) return run === drag.current ? "dragged" : "";
    return names.indexOf(run) < names.indexOf(drag.current) ? "drop-before" : "drop-after";
  };
  return h(Card, {
    title: `Queue: ${waiting.length} waiting`, icon: "clock",
    actions: queue.paused
      ? h(Button, { kind: "primary", icon: "play", busy,
        onClick: () => act(() => post("/api/queue/continue", {}), "Queue resumed.") }, "Resume queue")
      : h(Button, { icon: "pause", busy,
        onClick: () => act(() => post("/api/queue/pause", {}), "Queue paused.") }, "Pause queue"),
  },
    h("p", { class: "muted" }, queue.problem && h("span", { class: "field-problem" }, `${queue.problem} `),
      queue.paused
        ? "Paused. No runs start until you resume the queue. It is always paused when the server starts."
        : "The next run starts when no other run is training."),
    h("ol", { class: "queue-list", ref: list, onDragOver: (/** @type {DragEvent} */ event) => {
      if (drag.current) event.preventDefault();
    } },
      items.map((item, index) => h("li", {
        key: item.run, "data-run": item.run, draggable: items.length > 1, class: dropClass(item.run),
        onDragStart: (/** @type {DragEvent} */ event) => {
          drag.current = item.run;
          event.dataTransfer?.setData("text/plain", item.run);
          if (event.dataTransfer) event.dataTransfer.effectAllowed = "move";
        },
        onDragEnter: () => drag.current && setOver(item.run),
        onDrop: (/** @type {DragEvent} */ event) => {
          event.preventDefault();
          if (drag.current) place(drag.current, index + 1);
        },
        onDragEnd: () => {
          drag.current = "";
          setOver("");
        },
      },
        items.length > 1 && h("span", { class: "queue-grip", title: "Drag to reorder" }, h(Icon, { name: "grip" })),
        h("span", { class: "queue-place figures" }, index + 1),
        h("a", { href: `/runs/${item.run}`, class: "break" }, item.run),
        index === 0 && h(Badge, { tone: "info" }, "next"),
        h("span", { class: "muted queue-note" }, `${item.resume != null ? "resumes, " : ""}added ${ago(item.added)}`),
        h("span", { class: "queue-buttons" },
          items.length > 1 && [
            h(Button, { small: true, kind: "quiet", icon: "up", "data-by": "up", key: "up", disabled: index === 0,
              "aria-label": `Move ${item.run} up`, onClick: () => move(item.run, index, "up") }),
            h(Button, { small: true, kind: "quiet", icon: "down", "data-by": "down", key: "down",
              disabled: index === items.length - 1, "aria-label": `Move ${item.run} down`,
              onClick: () => move(item.run, index + 2, "down") }),
          ],
          h(Button, { small: true, kind: "quiet", icon: "close", "aria-label": `Remove ${item.run} from the queue`,
            onClick: () => void remove(item.run) }, h("span", { class: "wide-only" }, "Remove")))))));
}

import { toast, toastError } from "../../components/announce.js";
import { Button } from "../../components/elements.js";
import { del, post } from "../../lib/api.js";
import { ago } from "../../lib/format.js";
import { status } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";

/** Runs that wait for the active ones. Nothing is shown where none waits. */
export function Queue() {
  const { busy, run } = useWork();
  const queue = status.value?.queue;
  if (!queue?.waiting?.length) return null;
  const act = (/** @type {() => Promise<any>} */ work, /** @type {string} */ done) =>
    run(() => work().then(() => toast(done), toastError));
  return h("section", { class: "card stack", "aria-labelledby": "queue-title" },
    h("div", { class: "spread" },
      h("h2", { id: "queue-title" }, `Queue: ${queue.waiting.length} waiting`),
      queue.paused
        ? h(Button, { kind: "primary", icon: "play", busy,
          onClick: () => act(() => post("/api/queue/continue", {}), "The queue goes on.") }, "Continue the queue")
        : h(Button, { icon: "pause", busy,
          onClick: () => act(() => post("/api/queue/pause", {}), "The queue is paused.") }, "Pause the queue")),
    h("p", { class: "muted" }, queue.paused
      ? "The queue is paused: nothing starts until you continue it. After a start of the server it always waits for "
        + "you."
      : "The next run starts as soon as no other run is training."),
    h("ol", { class: "queue-list" },
      queue.waiting.map((/** @type {any} */ item) =>
        h("li", { key: item.run },
          h("a", { href: `/runs/${item.run}` }, item.run),
          h("span", { class: "muted" }, `${item.resume != null ? "resumes, " : ""}added ${ago(item.added)}`),
          h(Button, {
            small: true, icon: "close", busy, "aria-label": `Take ${item.run} out of the queue`,
            onClick: () => act(() => del(`/api/queue/${item.run}`), `${item.run} is out of the queue.`),
          }, "Take out")))));
}

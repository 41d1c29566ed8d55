/** Work of the server besides training, and what waits for its turn. */
import { Card } from "../../components/layout.js";
import { JobProgress } from "../../components/progress.js";
import { jobs, status } from "../../lib/live.js";
import { h } from "../../lib/preact.js";

export function UnderWay() {
  const active = Object.values(jobs.value).filter((job) => job.state === "waiting" || job.state === "running");
  const queue = status.value?.queue;
  const waiting = /** @type {any[]} */ (queue?.waiting ?? []);
  if (!active.length && !waiting.length) return null;
  return h(Card, { title: "In progress", icon: "clock" },
    h("div", { class: "stack" },
      active.map((job) => h(JobProgress, { key: job.id, job })),
      waiting.length > 0 && h("p", {},
        h("a", { href: "/runs" }, waiting.length === 1 ? "1 run" : `${waiting.length} runs`),
        waiting.length === 1 ? " in the queue" : " in the queue",
        queue.paused ? ", paused." : `. Next: ${waiting[0].run}.`)));
}

import { Badge, Problem } from "../../components/elements.js";
import { date } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

/** @type {Record<string, "good" | "bad" | "warn" | "info" | "quiet">} */
const TONES = { skipped: "warn", stop: "info", ended: "info", deleted: "quiet", checkpoint: "good", resumed: "info" };

/** The run's events: what happened when. @param {{run: any, again: any}} props */
export function Events({ run, again }) {
  const { data, error, reload } = useResource(`/api/runs/${run.id}/events`, undefined, again);
  if (!data) return error ? h(Problem, { error, retry: reload }) : h("p", { class: "muted" }, "Loading…");
  const events = [...data.events].reverse();
  return events.length
    ? h("ol", { class: "events", reversed: true }, events.map((one, at) => h("li", { key: events.length - at },
      h("time", { class: "muted nowrap figures" }, date(one.time)),
      h("span", {}, h(Badge, { tone: TONES[one.event] || "quiet" }, one.event)),
      h("span", { class: "break" }, one.message))))
    : h("p", { class: "muted" }, "No events yet.");
}

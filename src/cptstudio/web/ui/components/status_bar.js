import { connection, status } from "../lib/live.js";
import { bytes, duration, number } from "../lib/format.js";
import { h, useEffect, useState } from "../lib/preact.js";
import { stepOf } from "../lib/run_words.js";
import { session } from "../lib/session.js";
import { stateWords } from "./elements.js";

/** Lets a page that lost its connection say how old its news are. */
function useSeconds(/** @type {boolean} */ on) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => tick((value) => value + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
}

function ConnectionState() {
  const { state, since } = connection.value;
  useSeconds(state !== "live");
  const age = since ? `, data ${duration(Date.now() / 1000 - since)} old` : "";
  const away = session.value === "ended" ? "Signed out" : "No server";
  const trying = since ? `Reconnecting${age}` : "Connecting";
  const words = state === "live" ? "Live" : state === "reconnecting" ? trying : `${away}${age}`;
  return h("span", { class: `status-connection status-${state}` }, words);
}

/** @param {{title: string, value: string}} props */
function Item({ title, value }) {
  return h("span", { class: "status-item" }, h("span", {}, `${title} `), value);
}

/** On every page: the active run and whether the page is live. */
export function StatusBar() {
  const active = /** @type {any[]} */ (status.value?.active || []);
  const run = active[0];
  return h("div", { class: "status", role: "group", "aria-label": "Status" },
    run && h("a", { class: "status-run", href: `/runs/${run.id}` }, run.id),
    run && run.state?.name !== "running" && h(Item, { title: "", value: stateWords(run.state).words }),
    run && h(Item, { title: "step", value: stepOf(run) }),
    run?.loss != null && h(Item, { title: "loss", value: number(run.loss) }),
    run?.remaining_seconds != null && h(Item, { title: "left", value: duration(run.remaining_seconds) }),
    run?.memory_process != null && h(Item, { title: "memory", value: bytes(run.memory_process) }),
    active.length > 1 && h("a", { href: "/" }, `and ${active.length - 1} more`),
    !run && status.value && connection.value.state === "live" && h("span", { class: "muted" }, "Nothing is running"),
    h(ConnectionState, {}));
}

import { connection, status } from "../lib/live.js";
import { bytes, duration, number } from "../lib/format.js";
import { machine } from "../lib/machine.js";
import { h, useEffect, useState } from "../lib/preact.js";
import { nameOf, stepOf } from "../lib/run_words.js";
import { session } from "../lib/session.js";
import { stateWords } from "./elements.js";
import { Meter } from "./figures.js";
import { Icon } from "./icons.js";
import { Progress } from "./progress.js";

/** Lets a page that lost its connection say how old its news are. */
function useSeconds(/** @type {boolean} */ on) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => tick((value) => value + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
}

/** Whether the page is live, and else how old what it shows is. */
export function ConnectionState() {
  const { state, since } = connection.value;
  useSeconds(state !== "live");
  const age = since ? `, data is ${duration(Date.now() / 1000 - since)} old` : "";
  const away = session.value === "ended" ? "Signed out" : "Disconnected";
  const trying = since ? `Reconnecting${age}` : "Connecting";
  const words = state === "live" ? "Live" : state === "reconnecting" ? trying : `${away}${age}`;
  return h("span", { class: `status-connection status-${state}`, title: words },
    h("span", { class: "status-words" }, words));
}

/** @param {any} run */
const shareDone = (run) => (run.planned_steps ? Math.min(1, (run.step ?? 0) / run.planned_steps) : null);

/** How far a run is, as a ring, for where there is room for nothing else. @param {{run: any}} props */
export function RunRing({ run }) {
  const share = shareDone(run);
  return h("svg", { class: `ring${share == null ? " ring-busy" : ""}`, viewBox: "0 0 20 20", width: 20, height: 20,
    "aria-hidden": "true" },
    h("circle", { class: "ring-track", cx: 10, cy: 10, r: 8 }),
    h("circle", { class: "ring-done", cx: 10, cy: 10, r: 8, pathLength: 100,
      "stroke-dasharray": `${(100 * (share ?? 0.25)).toFixed(1)} 100` }));
}

/** @param {{run: any, others: number}} props */
function ActiveRun({ run, others }) {
  const facts = [
    run.phase && run.phase.name !== "training" ? run.phase.title
      : run.state?.name !== "running" && stateWords(run.state).words,
    `step ${stepOf(run)}`,
    run.loss != null && `loss ${number(run.loss)}`,
  ].filter(Boolean).join(" · ");
  return h("div", { class: "status-run" },
    h("a", { class: "status-run-name", href: `/runs/${run.id}`, title: `${nameOf(run)}, ${facts}` },
      h(RunRing, { run }), h("span", { class: "status-words" }, nameOf(run))),
    h("div", { class: "status-run-body" },
      h(Progress, { label: `${nameOf(run)}: steps`, done: run.step ?? 0, total: run.planned_steps,
        text: stepOf(run) }),
      h("p", {}, facts),
      run.remaining_seconds != null && h("p", {}, `${duration(run.remaining_seconds)} left`),
      others > 0 && h("p", {}, h("a", { href: "/" }, `and ${others} more`))));
}

/** The models that are served to other programs. @param {{endpoints: any[]}} props */
function Served({ endpoints }) {
  return h("ul", { class: "status-served", "aria-label": "Endpoints" }, endpoints.map((one) => {
    const words = one.state === "ready" ? "served" : one.state === "loading" ? "loading" : "unloaded";
    return h("li", { key: one.id }, h("a", { class: "status-run-name", title: `${one.model}: ${words}`,
      href: `/models?${new URLSearchParams({ serve: one.id })}` },
      h(Icon, { name: "serve" }), h("span", { class: "status-words" }, `${one.model}: ${words}`)));
  }));
}

/** Memory and disk, from a look of the last minute. */
function Machine() {
  const found = machine.value;
  if (!found) return null;
  const rooms = /** @type {[string, number, number][]} */ ([["Memory", found.memory_available, found.memory_total],
    ["Disk", found.disk_free, found.disk_total]]);
  return h("div", { class: "status-machine" },
    h("p", { class: "status-device", title: found.device }, found.device),
    rooms.map(([title, free, total]) => total > 0 && h("div", { class: "status-meter", key: title },
      h("span", {}, title), h("span", {}, `${bytes(free)} free`),
      h(Meter, { label: `${title} in use`, value: total - free, max: total,
        text: `${bytes(free)} free of ${bytes(total)}` }))));
}

/** On every page: the active run, the machine, and whether the page is live. */
export function StatusBar() {
  const active = /** @type {any[]} */ (status.value?.active || []);
  const endpoints = /** @type {any[]} */ (status.value?.endpoints || []);
  const live = connection.value.state === "live";
  return h("div", { class: "status", role: "group", "aria-label": "Status" },
    active.length > 0 && h(ActiveRun, { run: active[0], others: active.length - 1 }),
    endpoints.length > 0 && h(Served, { endpoints }),
    h(Machine, {}),
    h("div", { class: "status-foot" }, h(ConnectionState, {}),
      !active.length && !endpoints.length && status.value && live
        && h("span", { class: "status-idle" }, "No active runs")));
}

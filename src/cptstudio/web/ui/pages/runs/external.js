import { toast } from "../../components/announce.js";
import { Badge, Button } from "../../components/elements.js";
import { confirm } from "../../components/dialog.js";
import { Chart } from "../../components/chart.js";
import { get, post } from "../../lib/api.js";
import { ago, integer, number } from "../../lib/format.js";
import { externalChanged } from "../../lib/live.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

const WATCH_MS = 2000;

/** @param {any} process */
const evidence = (process) =>
  h("dl", { class: "pairs" },
    h("dt", {}, "Process"), h("dd", {}, String(process.pid)),
    h("dt", {}, "Owner"), h("dd", {}, process.owner || "unknown"),
    h("dt", {}, "Command"), h("dd", {}, h("code", {}, (process.command || []).join(" "))),
    h("dt", {}, "Log"),
    h("dd", {}, process.log ? h("code", {}, process.log) : process.log_reason || "no readable log"),
    process.evidence && h("dt", {}, "Detected because"), process.evidence && h("dd", {}, process.evidence));

/** @param {any} process */
async function watch(process) {
  await confirm({
    title: `Watch process ${process.pid}?`,
    body: [h("p", { key: "p" },
      "CPT Studio reads its log as it grows. The process and its files are never changed."),
      h("div", { key: "e" }, evidence(process))],
    confirm: "Watch",
    action: () => post(`/api/external/${process.id}/watch`, { confirmed: true }),
  });
  externalChanged.value += 1;
}

/** @param {any} process */
async function stop(process) {
  const first = await confirm({
    title: `Stop process ${process.pid}?`,
    body: [
      h("p", { key: "p" }, "This training was not started by CPT Studio. Stopping it loses any unsaved progress, "
        + "and CPT "
        + "Studio can't resume it."),
      h("div", { key: "e" }, evidence(process)),
    ],
    confirm: "Continue",
    danger: true,
  });
  if (!first) return;
  const done = await confirm({
    title: "Are you sure?",
    body: h("p", {},
      `Stops process ${process.pid} of ${process.owner || "an unknown user"}. This can't be undone.`),
    confirm: `Stop process ${process.pid}`,
    danger: true,
    action: () => post(`/api/external/${process.id}/stop`, { confirmed: true, confirmed_again: true }),
  });
  if (done) {
    toast(`Stopping process ${process.pid}.`);
    externalChanged.value += 1;
  }
}

/** Rows of a watched process. @param {{process: any}} props */
function Watched({ process }) {
  const [rows, setRows] = useState(/** @type {any[]} */ ([]));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    let timer = 0;
    let stopped = false;
    let left = false;
    const look = async () => {
      try {
        const answer = await get(`/api/external/${process.id}/rows`);
        if (left) return;
        setRows(answer.rows);
        setProblem(answer.problem);
        stopped ||= answer.ended;
        setError(null);
      } catch (failure) {
        setError(failure);
      }
      if (!stopped) timer = setTimeout(look, WATCH_MS);
    };
    void look();
    return () => {
      stopped = left = true;
      clearTimeout(timer);
    };
  }, [process.id]);
  const train = rows.filter((row) => row.kind === "train" && typeof row.loss === "number");
  const last = train[train.length - 1];
  return h("div", { class: "stack" },
    error && h("p", { class: "field-problem" }, error.message),
    problem && h("p", { class: "field-problem" }, problem),
    last && h("p", {}, `Step ${integer(last.step)}, loss ${number(last.loss)}`),
    h(Chart, {
      title: `Loss of process ${process.pid}`, file: `process-${process.pid}.loss`, version: rows.length, range: null,
      onZoom: () => undefined,
      x: { title: "Step", format: integer }, y: { title: "Loss", format: number },
      empty: "No loss values in its log yet.",
      lines: train.length
        ? [{ label: "Training loss", x: train.map((row) => row.step), y: train.map((row) => row.loss),
          colour: "chart-1" }]
        : [],
    }));
}

/** Training on this machine that was started elsewhere: shown with its evidence, never touched by itself. */
export function External() {
  const { data, error } = useResource("/api/external", undefined, externalChanged.value);
  if (error || !data?.enabled || !data.processes.length) return null;
  return h("section", { class: "card stack external", "aria-labelledby": "external-title" },
    h("div", { class: "row" }, h("h2", { id: "external-title" }, "Other training on this machine"),
      h(Badge, { tone: "warn", icon: "info" }, "External")),
    h("p", { class: "muted" },
      "These processes were started outside CPT Studio. They are only shown; detection can be turned off under ",
      h("a", { href: "/settings" }, "Settings"), "."),
    h("ul", { class: "external-list" },
      data.processes.map((/** @type {any} */ process) =>
        h("li", { key: process.id, class: "stack" },
          h("h3", {}, `${process.kind || "Training"}, process ${process.pid}`,
            h("span", { class: "muted" }, process.started ? `, started ${ago(process.started)}` : ""),
            process.ended && h(Badge, {}, "ended")),
          evidence(process),
          h("div", { class: "row" },
            !process.watched && !process.ended && process.log && h(Button, { small: true,
              onClick: () => watch(process) }, "Watch…"),
            !process.ended && h(Button, { small: true, kind: "danger", icon: "stop", onClick: () => stop(process) },
              "Stop…")),
          process.watched && h(Watched, { process })))));
}

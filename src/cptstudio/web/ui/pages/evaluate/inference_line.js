/** What is loaded, what must be, and the progress of work on it. */

import { announce, toast, toastError } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { Progress } from "../../components/progress.js";
import { ApiError } from "../../lib/api.js";
import { cancelTask, endInference, follow, load, refreshInference, useInference } from "../../lib/inference.js";
import { bytes, count } from "../../lib/format.js";
import { h, useEffect, useState } from "../../lib/preact.js";

/** @typedef {import("../../lib/inference.js").Task} Task */

/**
 * A task of the inference worker, followed to its end; found again after a reload by its id.
 * @param {string | null} id @returns {{task: Task | null, error: Error | null}}
 */
export function useTask(id) {
  const [state, setState] = useState({ id: /** @type {string | null} */ (null), task: /** @type {Task | null} */ (null),
    error: /** @type {Error | null} */ (null) });
  useEffect(() => {
    if (id === null) return undefined;
    const abort = new AbortController();
    follow(id, (task) => setState({ id, task, error: null }), abort.signal).then(
      (task) => {
        if (task.state !== "running") announce(`${task.kind === "score" ? "Scoring" : "Loading"}: ${task.state}.`);
      },
      (error) => { if (!abort.signal.aborted) setState({ id, task: null, error: lostWords(error) }); });
    return () => abort.abort();
  }, [id]);
  return state.id === id ? state : { task: null, error: null };
}

/** @param {any} error */
function lostWords(error) {
  if (!(error instanceof ApiError) || error.status !== 404) return error;
  return new Error("This task is no longer available: the server was restarted, or newer tasks replaced it. Run "
    + "it again; your texts and models are still selected.");
}

/** @param {{task: Task, title: string}} props */
export function TaskProgress({ task, title }) {
  if (task.state === "failed") return h(Problem, { error: { message: task.error, problems: task.problems } });
  if (task.state === "cancelled") return h("p", { class: "notice", role: "status" }, `${title} canceled.`);
  const { progress } = task;
  const cancel = () => cancelTask(task.id).catch(toastError);
  const amounts = progress?.total ? `${count(progress.done)} of ${count(progress.total)}` : "";
  return h("div", { class: "job job-running" },
    h("div", { class: "job-head" }, h("strong", {}, title),
      h("span", { class: "job-state" }, progress?.doing ?? "Working…"),
      h(Button, { small: true, onClick: cancel }, "Cancel")),
    h(Progress, { label: title, done: progress?.done ?? null, total: progress?.total ?? null, text: amounts }),
    amounts && h("p", { class: "hint" }, amounts));
}

/**
 * What the inference worker holds, and the button that loads what was chosen.
 * @param {{chosen: string[], onLoaded: (all: boolean) => void}} props onLoaded: whether all chosen models are in memory
 */
export function InferenceLine({ chosen, onLoaded }) {
  const state = useInference();
  const [loading, setLoading] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const running = loading ?? state?.tasks?.find((task) => task.kind === "load")?.id ?? null;
  const { task, error } = useTask(running);
  const labels = state?.models?.map((model) => model.label) ?? [];
  const all = chosen.length > 0 && chosen.every((one) => labels.includes(one));
  useEffect(() => onLoaded(all), [all]);
  useEffect(() => {
    if (task !== null && task.state !== "running") void refreshInference();
  }, [task?.state]);
  const start = async () => {
    setProblem(null);
    try {
      setLoading((await load(chosen)).id);
    } catch (failure) {
      setProblem(failure);
    }
  };
  const busy = task?.state === "running";
  const end = () =>
    endInference().then(() => toast("Models unloaded."), toastError);
  return h("div", { class: "stack inference-line" },
    state?.running
      ? h("p", {}, h("b", {}, "Loaded: "), h("span", { class: "break" }, labels.join(", ") || "none"),
        state.memory_active != null && h("span", { class: "hint" }, ` (${bytes(state.memory_active)})`))
      : h("p", { class: "hint" },
        "No models loaded. Loaded models unload automatically when idle."),
    !state?.running && state?.last_end && h("p", { class: "notice" }, state.last_end),
    h("div", { class: "row" },
      h(Button, { busy, disabled: state === null || chosen.length === 0 || all, onClick: () => void start() },
        all ? "Loaded" : `Load ${chosen.length === 1 ? "model" : `${chosen.length || ""} models`}`),
      state?.running && h(Button, { kind: "quiet", onClick: () => void end() }, "Unload")),
    problem !== null && h(Problem, { error: problem }),
    error !== null && loading !== null && h(Problem, { error }),
    task !== null && task.state !== "done" && h(TaskProgress, { task, title: "Loading" }));
}

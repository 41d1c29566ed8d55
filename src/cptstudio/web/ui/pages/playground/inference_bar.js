/** What is in memory, what it takes, when it ends; loading and unloading are the user's to start. */
import { announce, toastError } from "../../components/announce.js";
import { Badge, Button, Icon, Problem } from "../../components/elements.js";
import { Progress } from "../../components/progress.js";
import { inferenceError, endInference, refreshInference } from "../../lib/inference.js";
import { bytes, duration } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { session } from "./session.js";

/** @typedef {import("../../lib/inference.js").InferenceState} InferenceState */
/** @typedef {import("../../components/model_choice.js").EvaluationModel} EvaluationModel */

/** @param {{task: import("../../lib/inference.js").Task}} props */
function Loading({ task }) {
  const { progress } = task;
  const words = progress
    ? `${progress.doing} (${progress.done + 1} of ${progress.total})`
    : "starting the process that holds the models";
  return h("div", { class: "job" },
    h("div", { class: "job-head" },
      h("strong", {}, "Loading"), h("span", { class: "job-state" }, words),
      h(Button, { small: true, onClick: () => session.cancelLoad().catch(toastError) },
        "Cancel")),
    h(Progress, { label: "Loading models", done: progress?.done, total: progress?.total, text: words }));
}

/** @param {{inference: InferenceState}} props */
function InMemory({ inference }) {
  const [busy, setBusy] = useState(false);
  const unload = async () => {
    setBusy(true);
    try {
      await endInference();
      announce("The models are out of memory.");
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  const idle = inference.idle_seconds;
  const memory = [
    inference.memory_active != null && `${bytes(inference.memory_active)} of memory`,
    inference.memory_peak != null && `${bytes(inference.memory_peak)} at the most`,
    inference.memory_process != null && `the whole process ${bytes(inference.memory_process)}`,
  ].filter(Boolean).join(", ");
  return h("div", { class: "in-memory" },
    h(Badge, { tone: "good", icon: "check" }, "In memory"),
    h("span", { class: "in-memory-names" },
      inference.models.map((model) => h("span", { key: model.label, class: "tag" }, model.label))),
    h("span", { class: "hint figures" },
      [memory, idle != null && `ends by itself after ${inMinutes(idle)} without use`].filter(Boolean).join(" · ")),
    h(Button, { small: true, busy, onClick: unload }, "Unload"));
}

/** @param {number} seconds */
const inMinutes = (seconds) => (seconds >= 60 ? `${Math.round(seconds / 60)} min` : duration(seconds));

/** @param {{inference: InferenceState | null, chosen: string[], models: EvaluationModel[] | null}} props */
export function InferenceBar({ inference, chosen, models }) {
  const loading = session.loading.value;
  const there = inference?.running ? inference.models.map((model) => model.label) : [];
  const missing = chosen.filter((one) => !there.includes(one));
  const others = there.filter((one) => !chosen.includes(one));
  const usable = chosen.every((one) => models?.some((model) => model.reference === one && !model.error));
  const size = (models || []).filter((model) => missing.includes(model.reference))
    .reduce((sum, model) => sum + (model.bytes ?? 0), 0);
  return h("div", { class: "inference-bar" },
    inferenceError.value && h(Problem, { error: inferenceError.value, retry: () => void refreshInference() }),
    loading ? h(Loading, { task: loading }) : there.length > 0 && inference && h(InMemory, { inference }),
    inference && !inference.running && inference.last_end && !loading && !session.notice.value
      && h("div", { class: "notice" },
        h(Icon, { name: "info" }),
        h("div", {}, "The models are no longer in memory. ", inference.last_end)),
    !loading && missing.length > 0 && h("div", { class: "row" },
      h(Button, { kind: "primary", disabled: !usable, onClick: () => session.load(chosen) },
        missing.length === chosen.length
          ? `Load ${chosen.length === 1 ? "the model" : `${chosen.length} models`}`
          : `Load ${missing.length} more`),
      h("span", { class: "hint" }, [
        size > 0 && `${bytes(size)} of weights are read into memory`,
        others.length > 0 && `${others.join(", ")} will leave memory`,
      ].filter(Boolean).join("; "), size > 0 || others.length ? "." : "")));
}

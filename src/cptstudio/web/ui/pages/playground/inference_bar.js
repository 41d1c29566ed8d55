/** What is in memory, what it takes, when it ends. */
import { announce, toastError } from "../../components/announce.js";
import { Badge, Button, Icon, Problem } from "../../components/elements.js";
import { Progress } from "../../components/progress.js";
import { inferenceError, endInference, refreshInference } from "../../lib/inference.js";
import { bytes, duration } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { session } from "./session.js";

/** @typedef {import("../../lib/inference.js").InferenceState} InferenceState */
/** How far loading is; Generate began it, and Stop ends it. */
export function Loading() {
  const task = session.loading.value;
  if (!task) return null;
  const { progress } = task;
  const words = progress ? `${progress.doing} (${progress.done + 1} of ${progress.total})` : "Starting…";
  return h("div", { class: "job" },
    h("div", { class: "job-head" },
      h("strong", {}, "Loading models"), h("span", { class: "job-state" }, words)),
    h(Progress, { label: "Loading models", done: progress?.done, total: progress?.total, text: words }));
}

/** @param {{inference: InferenceState}} props */
function InMemory({ inference }) {
  const [busy, setBusy] = useState(false);
  const unload = async () => {
    setBusy(true);
    try {
      await endInference();
      announce("Models unloaded.");
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  const idle = inference.idle_seconds;
  const memory = [
    inference.memory_active != null && `${bytes(inference.memory_active)} in use`,
    inference.memory_peak != null && `peak ${bytes(inference.memory_peak)}`,
  ].filter(Boolean).join(", ");
  return h("div", { class: "in-memory" },
    h(Badge, { tone: "good", icon: "check" }, "Loaded"),
    h("span", { class: "in-memory-names" },
      inference.models.map((model) => h("span", { key: model.label, class: "tag" }, model.label))),
    h("span", { class: "hint figures" },
      [memory, idle != null && `unloads after ${inMinutes(idle)} idle`].filter(Boolean).join(" · ")),
    h(Button, { small: true, busy, onClick: unload }, "Unload"));
}

/** @param {number} seconds */
const inMinutes = (seconds) => (seconds >= 60 ? `${Math.round(seconds / 60)} min` : duration(seconds));

/** @param {{inference: InferenceState | null}} props */
export function InferenceBar({ inference }) {
  const there = inference?.running ? inference.models : [];
  return h("div", { class: "inference-bar" },
    inferenceError.value && h(Problem, { error: inferenceError.value, retry: () => void refreshInference() }),
    there.length > 0 && inference && h(InMemory, { inference }),
    inference && !inference.running && inference.last_end && !session.loading.value && !session.notice.value
      && h("div", { class: "notice" },
        h(Icon, { name: "info" }),
        h("div", {}, inference.last_end)));
}

/** What is in memory, what it takes, when it ends; loading and unloading are the user's to start. */
import { announce, toastError } from "../../components/announce.js";
import { Badge } from "../../components/badge.js";
import { Button } from "../../components/button.js";
import { Icon } from "../../components/icon.js";
import { Problem } from "../../components/problem.js";
import { Progress } from "../../components/progress.js";
import { benchError, endBench, refreshBench } from "../../lib/bench.js";
import { bytes, duration } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { session } from "./session.js";

/** @typedef {import("../../lib/bench.js").BenchState} BenchState */
/** @typedef {import("../../components/model_choice.js").TestingModel} TestingModel */

/** @param {{task: import("../../lib/bench.js").Task}} props */
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

/** @param {{bench: BenchState}} props */
function InMemory({ bench }) {
  const [busy, setBusy] = useState(false);
  const unload = async () => {
    setBusy(true);
    try {
      await endBench();
      announce("The models are out of memory.");
    } catch (error) {
      toastError(error);
    }
    setBusy(false);
  };
  const memory = [
    bench.memory_active != null && `${bytes(bench.memory_active)} of memory`,
    bench.memory_peak != null && `${bytes(bench.memory_peak)} at the most`,
    bench.memory_process != null && `the whole process ${bytes(bench.memory_process)}`,
  ].filter(Boolean).join(", ");
  return h("div", { class: "in-memory" },
    h(Badge, { tone: "good", icon: "check" }, "In memory"),
    h("span", { class: "in-memory-names" },
      bench.models.map((model) => h("span", { key: model.label, class: "tag" }, model.label))),
    h("span", { class: "hint figures" }, [memory, bench.idle_seconds != null && "ends by itself after "
      + `${bench.idle_seconds >= 60 ? `${Math.round(bench.idle_seconds / 60)} min` : duration(bench.idle_seconds)} `
      + "without use"].filter(Boolean).join(" · ")),
    h(Button, { small: true, busy, onClick: unload }, "Unload"));
}

/** @param {{bench: BenchState | null, chosen: string[], models: TestingModel[] | null}} props */
export function BenchBar({ bench, chosen, models }) {
  const loading = session.loading.value;
  const there = bench?.running ? bench.models.map((model) => model.label) : [];
  const missing = chosen.filter((one) => !there.includes(one));
  const others = there.filter((one) => !chosen.includes(one));
  const usable = chosen.every((one) => models?.some((model) => model.reference === one && !model.error));
  const size = (models || []).filter((model) => missing.includes(model.reference))
    .reduce((sum, model) => sum + (model.bytes ?? 0), 0);
  return h("div", { class: "bench-bar" },
    benchError.value && h(Problem, { error: benchError.value, retry: () => void refreshBench() }),
    loading ? h(Loading, { task: loading }) : there.length > 0 && bench && h(InMemory, { bench }),
    bench && !bench.running && bench.last_end && !loading && !session.notice.value && h("div", { class: "notice" },
      h(Icon, { name: "info" }),
      h("div", {}, "The models are no longer in memory. ", bench.last_end)),
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

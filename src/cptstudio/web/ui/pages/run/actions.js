/** What can be done with a run; each deed first says what will happen. */
import { toast } from "../../components/announce.js";
import { Button, Field, Problem, Select } from "../../components/elements.js";
import { confirm, Dialog } from "../../components/dialog.js";
import { Menu } from "../../components/menu.js";
import { toastDeleted } from "../../components/undo.js";
import { startAsking } from "../../components/start_asking.js";
import { downloadServed } from "../../components/served_file.js";
import { del, post } from "../../lib/api.js";
import { bits, bytes, integer } from "../../lib/format.js";
import { status } from "../../lib/live.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { navigate } from "../../lib/router.js";
import { typedNumber } from "../../lib/typed_number.js";
import { InferenceNotice } from "./inference_notice.js";
import { LongerDialog } from "./longer.js";
import { resumable } from "../../lib/run_words.js";
import { testLinks } from "./test_links.js";

/** @typedef {(change?: any) => void} Changed called with the run's new summary when something was done */

const somethingRuns = (/** @type {string} */ id) =>
  (status.value?.active || []).some((/** @type {any} */ run) => run.id !== id);

/** Words for a checkpoint. @param {any} checkpoint */
const checkpointWords = (checkpoint) =>
  `step ${integer(checkpoint.step)}${checkpoint.domain_bits_per_byte == null
    ? ""
    : `, domain ${bits(checkpoint.domain_bits_per_byte)}`}${checkpoint.best ? ", best" : ""}`;

/** The newest first. @param {any} run */
const choicesOf = (run) => [...run.checkpoints].reverse().map((one) =>
  [one.name, `${one.name} (${checkpointWords(one)})`]);

/**
 * What the end of a run sets going, and whether it shall. Nothing is asked where no run waits for it.
 * @param {{choose: (pause: boolean) => void}} props
 */
function NextInQueue({ choose }) {
  const [pause, setPause] = useState(false);
  const queue = status.value?.queue;
  const next = queue && !queue.paused ? queue.waiting[0] : undefined;
  if (next === undefined) return null;
  const more = queue.waiting.length - 1;
  const choice = (/** @type {boolean} */ value, /** @type {any} */ words) => h("label", { class: "check" },
    h("input", { type: "radio", name: "then", checked: pause === value, onChange: () => {
      setPause(value);
      choose(value);
    } }), h("span", {}, words));
  return h("fieldset", { class: "choices" }, h("legend", {}, "Queue"),
    choice(false, ["Start the next run: ", h("b", { class: "break", key: "next" }, next.run)]),
    choice(true, more ? `Pause the queue; “${next.run}” and ${more} more keep waiting`
      : `Pause the queue; “${next.run}” keeps waiting`));
}

/** @param {any} run @param {Changed} changed */
async function stop(run, changed) {
  let answer;
  let pause = false;
  const yes = await confirm({
    title: `Stop the run “${run.id}”?`,
    body: [
      h("p", { key: 1 },
        "Training finishes the current step, saves a checkpoint, and stops. You can resume exactly where it left off."),
      h(NextInQueue, { key: 2, choose: (value) => { pause = value; } }),
    ],
    confirm: "Stop and save",
    action: async () => { answer = await post(`/api/runs/${run.id}/stop`, { pause_queue: pause }); },
  });
  if (yes) {
    toast(`Stopping “${run.id}” – saving a checkpoint.`);
    changed(answer);
  }
}

/** @param {any} run @param {Changed} changed */
async function kill(run, changed) {
  const newest = run.checkpoints[run.checkpoints.length - 1];
  let answer;
  let pause = false;
  const yes = await confirm({
    title: `Force stop the run “${run.id}”?`,
    body: [
      h("p", { key: 1 }, "Training ends immediately, without saving a checkpoint."),
      h("p", { key: 2 }, newest
        ? `The last checkpoint is at step ${integer(newest.step)}; the run is at step ${integer(run.step)}. `
          + "Resuming repeats the steps in between."
        : "There is no checkpoint yet, so all progress is lost."),
      h(NextInQueue, { key: 3, choose: (value) => { pause = value; } }),
    ],
    confirm: "Force stop",
    danger: true,
    action: async () => { answer = await post(`/api/runs/${run.id}/kill`, { confirmed: true, pause_queue: pause });
    },
  });
  if (yes) {
    toast(`“${run.id}” was force-stopped.`);
    changed(answer);
  }
}

/** @param {any} run @param {Changed} changed */
async function start(run, changed) {
  const queue = somethingRuns(run.id);
  let answer;
  const yes = await confirm({
    title: `Start the run “${run.id}”?`,
    body: [
      h("p", { key: 1 },
        `Training starts immediately${run.planned_steps ? ` (${integer(run.planned_steps)} steps)` : ""} and continues`
        + " if you close this page or stop the server."),
      queue && h("p", { key: 2 }, "Another run is training, so this one will be queued and start next."),
      h(Agreed, { run, key: "agreed" }),
      h(InferenceNotice, { key: 3 }),
    ],
    confirm: queue ? "Add to queue" : "Start",
    action: async () => { answer = await startAsking(`/api/runs/${run.id}/start`, { queue }); },
  });
  if (yes && answer) {
    toast(queue ? `“${run.id}” was added to the queue.` : `“${run.id}” is starting.`);
    changed(answer);
  }
}

/** @param {any} run */
async function remove(run) {
  let answer;
  const size = run.checkpoints.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + (one.bytes || 0), 0);
  const yes = await confirm({
    title: `Delete the run “${run.id}”?`,
    body: [
      h("p", { key: 1 }, "This deletes the folder with its curves, log, and checkpoints:"),
      h("p", { key: 2, class: "changed" }, run.directory),
      h("p", { key: 3 }, run.checkpoints.length
        ? `${run.checkpoints.length} ${run.checkpoints.length === 1 ? "checkpoint" : "checkpoints"}, ${bytes(size)}.`
        : "No checkpoints."),
      h("p", { key: 4 }, "Its tags, notes, and queue entry are deleted too. You can undo this for one minute."),
    ],
    confirm: "Delete run",
    danger: true,
    action: async () => { answer = await del(`/api/runs/${run.id}`, { confirmed: true }); },
  });
  if (yes && answer) {
    toastDeleted(`Run “${run.id}”`, answer);
    navigate("/runs", { replace: true });
  }
}

/** @param {{run: any, onClose: () => void, changed: Changed, first?: string}} props */
function ResumeDialog({ run, onClose, changed, first }) {
  const newest = run.checkpoints[run.checkpoints.length - 1];
  const [name, setName] = useState(first ?? newest?.name ?? "");
  const former = String(run.session?.batch_size ?? run.config?.settings?.batch?.size ?? "");
  const [rows, setRows] = useState(former);
  const { busy, error, run: work } = useWork();
  const chosen = run.checkpoints.find((/** @type {any} */ one) => one.name === name);
  const queue = somethingRuns(run.id);
  const again = chosen ? (run.step ?? 0) - chosen.step : run.step ?? 0;
  const resume = () => work(async () => {
    const answer = await startAsking(`/api/runs/${run.id}/resume`,
      { checkpoint: chosen ? chosen.name : null, confirmed: true, queue,
        session: rows === former ? {} : { batch_size: rows } });
    if (answer === null) return;
    toast(queue
      ? `“${run.id}” was added to the queue.`
      : `“${run.id}” is resuming from ${chosen ? chosen.name : "the beginning"}.`);
    changed(answer);
    onClose();
  });
  return h(Dialog, {
    title: `Resume the run “${run.id}”?`, onClose,
    actions: [
      h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", icon: "resume", busy, onClick: resume, autofocus: true },
        queue ? "Add to queue" : `Resume from ${chosen ? chosen.name : "the beginning"}`),
    ],
  },
    run.checkpoints.length > 1 && h(Field, {
      label: "Checkpoint",
      control: (attributes) => h(Select, { ...attributes, value: name, onChoose: setName, choices: choicesOf(run) }),
    }),
    h("p", {}, chosen
      ? `Training continues in the same folder from ${chosen.name} (${checkpointWords(chosen)}), with the same `
        + "settings."
      : "There is no checkpoint, so training starts over from the first step."),
    run.config && h(Field, {
      label: "Batch size",
      hint: "Smaller uses less memory. Gradient accumulation adapts, so updates stay the same.",
      problems: error?.fields?.["session.batch_size"] ?? error?.fields?.batch_size,
      control: (attributes) => h("input", { ...attributes, value: rows, inputMode: "numeric",
        onInput: withValue(setRows) }),
    }),
    again > 0 && h("p", {}, `The ${integer(again)} steps after it are repeated, and their points in the curves are `
      + "replaced. On the same machine and data, results are identical."),
    queue && h("p", {}, "Another run is training, so this one will be queued and start next."),
    h(Agreed, { run }),
    h(InferenceNotice, {}),
    error && h(Problem, { error }));
}

/** What was agreed before Start, told again where it begins to hold. @param {{run: any}} props */
function Agreed({ run }) {
  return run.config?.settings?.compute?.retry_with_less
    ? h("p", {}, "Retry with a smaller batch is on: if memory runs out, the run continues with half the batch size.")
    : null;
}

/** @param {string} id @param {string} step */
const forkName = (id, step) => `${id}-fork-${step.replace(/^step-0*/, "") || "0"}`.slice(0, 64);

/** @param {{run: any, onClose: () => void, first?: string}} props */
function ForkDialog({ run, onClose, first }) {
  const newest = run.checkpoints[run.checkpoints.length - 1];
  const [checkpoint, setCheckpoint] = useState(first ?? newest?.name ?? "");
  const [name, setName] = useState(forkName(run.id, checkpoint));
  const old = run.config?.settings?.optimizer?.learning_rate;
  const [learningRate, setLearningRate] = useState(old == null ? "" : String(old));
  const { busy, error, run: work } = useWork();
  const queue = somethingRuns("");
  const fork = (/** @type {Event} */ event) => {
    event.preventDefault();
    const rate = typedNumber(learningRate);
    // What cannot be read goes to the server as it is, which refuses it at its field.
    const changes = rate === null || rate === old ? {} : { "optimizer.learning_rate": rate };
    void work(async () => {
      const made = await startAsking(`/api/runs/${run.id}/fork`, { checkpoint, name, changes, queue });
      if (made === null) return;
      toast(queue ? `“${made.id}” was added to the queue.` : `“${made.id}” is starting from ${checkpoint}.`);
      onClose();
      navigate(`/runs/${made.id}`);
    });
  };
  return h(Dialog, {
    title: `Fork the run “${run.id}”`, onClose,
    actions: [
      h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", icon: "fork", type: "submit", form: "fork-form", busy },
        queue ? "Add to queue" : "Start fork"),
    ],
  },
    h("p", {}, "Starts a new run from a checkpoint's weights, with a fresh optimizer and its own folder. This run "
      + "doesn't change."),
    h("form", { id: "fork-form", class: "stack", onSubmit: fork },
      h(Field, {
        label: "Checkpoint",
        control: (attributes) => h(Select, { ...attributes, value: checkpoint, choices: choicesOf(run),
          onChoose: (chosen) => {
            setCheckpoint(chosen);
            setName(forkName(run.id, chosen));
          } }),
      }),
      h(Field, {
        label: "New run name", problems: error?.fields?.name,
        control: (attributes) => h("input", { ...attributes, value: name, required: true, maxLength: 64,
          pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*", spellcheck: false,
          onInput: withValue(setName) }),
      }),
      h(Field, {
        label: "Learning rate", hint: old == null ? undefined : `Parent run: ${old}`,
        problems: error?.fields?.["optimizer.learning_rate"],
        control: (attributes) => h("input", { ...attributes, value: learningRate, inputMode: "decimal",
          onInput: withValue(setLearningRate) }),
      }),
      queue && h("p", {}, "Another run is training, so the fork will be queued."),
      h(Agreed, { run }),
      h(InferenceNotice, {})),
    h("p", { class: "hint" }, "To change more settings, ",
      h("a", { href: `/new?from=${run.id}`, onClick: onClose }, "duplicate the run"), "."),
    error && h(Problem, { error }));
}

/** The checkpoint that a test of the run is about: its best one, else its last. @param {any} run */
function testedCheckpoint(run) {
  const sound = /** @type {any[]} */ (run.kind === "run" ? run.checkpoints : []).filter((one) => !one.problem);
  const best = sound.find((one) => one.best);
  const chosen = best ?? sound[sound.length - 1];
  return chosen ? { name: chosen.name, words: `${best ? "best" : "last"} checkpoint vs. base` } : null;
}

/**
 * @param {{run: any, changed: Changed, dialog: {kind: string, checkpoint?: string} | null,
 *   setDialog: (dialog: {kind: string, checkpoint?: string} | null) => void}} props
 */
export function RunActions({ run, changed, dialog, setDialog }) {
  const { alive, name } = run.state;
  const ours = run.kind === "run";
  const exports = [
    { title: "Report (HTML)", onChoose: () => downloadServed(`/api/runs/${run.id}/report`) },
    { title: "Metrics (CSV)", onChoose: () => downloadServed(`/api/runs/${run.id}/export?format=csv`) },
    { title: "Metrics (JSON)", onChoose: () => downloadServed(`/api/runs/${run.id}/export?format=json`) },
    ours && run.config && { title: "Settings (YAML)",
      onChoose: () => downloadServed(`/api/runs/${run.id}/settings.yaml`) },
  ];
  const close = () => setDialog(null);
  const tested = testedCheckpoint(run);
  return h("div", { class: "run-actions" },
    ours && name === "prepared" && run.queue_position == null && h(Button, { kind: "primary", icon: "play",
      onClick: () => start(run, changed) }, "Start"),
    ours && alive && name !== "stopping" && h(Button, { kind: "primary", icon: "stop",
      onClick: () => stop(run, changed) }, "Stop and save"),
    ours && alive && h(Button, { kind: "danger", icon: "kill", onClick: () => kill(run, changed) },
      "Force stop"),
    ours && resumable(run) && run.queue_position == null && h(Button, { kind: "primary", icon: "resume",
      onClick: () => setDialog({ kind: "resume" }) }, "Resume"),
    ours && run.checkpoints.length > 0 && h(Button, { icon: "fork", onClick: () => setDialog({ kind: "fork" }) },
      "Fork"),
    ours && run.longer && run.queue_position == null && h(Button, { icon: "plus",
      onClick: () => setDialog({ kind: "longer" }) }, "Train longer…"),
    ours && run.config && h(Button, { href: `/new?from=${run.id}` }, "Duplicate"),
    tested && h(Menu, { label: "Test", icon: "play", items: [
      { title: `Playground: ${tested.words}`, href: testLinks(run, tested.name).playground },
      { title: `Evaluate: ${tested.words}`, href: testLinks(run, tested.name).evaluate },
      { title: `Chat again: ${tested.words}`, href: testLinks(run, tested.name).chat },
    ] }),
    h(Button, { href: `/compare?runs=${run.id}` }, "Compare"),
    h(Menu, { label: "Export", icon: "download", items: exports }),
    ours && !alive && name !== "missing" && h(Button, { kind: "danger", icon: "trash", onClick: () => remove(run) },
      "Delete"),
    dialog?.kind === "resume" && h(ResumeDialog, { run, onClose: close, changed, first: dialog.checkpoint }),
    dialog?.kind === "longer" && run.longer && h(LongerDialog, { run, onClose: close, changed }),
    dialog?.kind === "fork" && h(ForkDialog, { run, onClose: close, first: dialog.checkpoint }));
}

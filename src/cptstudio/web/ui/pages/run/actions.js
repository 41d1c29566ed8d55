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
  return h("fieldset", { class: "choices" }, h("legend", {}, "The queue"),
    choice(false, ["Start the next run: ", h("b", { class: "break", key: "next" }, next.run)]),
    choice(true, more ? `Pause the queue: ${next.run} and ${more} more keep waiting` : `Pause it: ${next.run} keeps `
      + "waiting"));
}

/** @param {any} run @param {Changed} changed */
async function stop(run, changed) {
  let answer;
  let pause = false;
  const yes = await confirm({
    title: `Stop ${run.id}?`,
    body: [
      h("p", { key: 1 },
        "Training finishes the current step, writes a checkpoint, and ends. You can resume it exactly from there."),
      h(NextInQueue, { key: 2, choose: (value) => { pause = value; } }),
    ],
    confirm: "Stop and save",
    action: async () => { answer = await post(`/api/runs/${run.id}/stop`, { pause_queue: pause }); },
  });
  if (yes) {
    toast(`${run.id} was asked to stop. It saves a checkpoint first.`);
    changed(answer);
  }
}

/** @param {any} run @param {Changed} changed */
async function kill(run, changed) {
  const newest = run.checkpoints[run.checkpoints.length - 1];
  let answer;
  let pause = false;
  const yes = await confirm({
    title: `Kill ${run.id}?`,
    body: [
      h("p", { key: 1 }, "The training ends at once, without a checkpoint."),
      h("p", { key: 2 }, newest
        ? `The last checkpoint is of step ${integer(newest.step)}; the run is at step ${integer(run.step)}. The steps `
          + "in between have to be done again when it is resumed."
        : "There is no checkpoint yet: all steps so far have to be done again."),
      h(NextInQueue, { key: 3, choose: (value) => { pause = value; } }),
    ],
    confirm: "Kill it",
    danger: true,
    action: async () => { answer = await post(`/api/runs/${run.id}/kill`, { confirmed: true, pause_queue: pause });
    },
  });
  if (yes) {
    toast(`${run.id} was killed.`);
    changed(answer);
  }
}

/** @param {any} run @param {Changed} changed */
async function start(run, changed) {
  const queue = somethingRuns(run.id);
  let answer;
  const yes = await confirm({
    title: `Start ${run.id}?`,
    body: [
      h("p", { key: 1 }, "The training begins with its configuration as it "
        + `is${run.planned_steps ? `, ${integer(run.planned_steps)} steps` : ""}. It goes on when this page or the `
        + "server is closed."),
      queue && h("p", { key: 2 }, "Another run is training: this one is put into the queue and starts after it."),
      h(Agreed, { run, key: "agreed" }),
      h(InferenceNotice, { key: 3 }),
    ],
    confirm: queue ? "Put into the queue" : "Start",
    action: async () => { answer = await startAsking(`/api/runs/${run.id}/start`, { queue }); },
  });
  if (yes && answer) {
    toast(queue ? `${run.id} waits in the queue.` : `${run.id} starts.`);
    changed(answer);
  }
}

/** @param {any} run */
async function remove(run) {
  let answer;
  const size = run.checkpoints.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + (one.bytes || 0), 0);
  const yes = await confirm({
    title: `Delete ${run.id}?`,
    body: [
      h("p", { key: 1 }, "This folder is removed, with its curves, its log and its checkpoints:"),
      h("p", { key: 2, class: "changed" }, run.directory),
      h("p", { key: 3 }, run.checkpoints.length
        ? `${run.checkpoints.length} ${run.checkpoints.length === 1 ? "checkpoint" : "checkpoints"}, ${bytes(size)}.`
        : "It holds no checkpoints."),
      h("p", { key: 4 }, "Its tags, notes and queue entry are deleted too. You can undo this for one minute."),
    ],
    confirm: "Delete the run",
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
  const former = String(run.session?.rows ?? run.config?.settings?.batch?.rows ?? "");
  const [rows, setRows] = useState(former);
  const { busy, error, run: work } = useWork();
  const chosen = run.checkpoints.find((/** @type {any} */ one) => one.name === name);
  const queue = somethingRuns(run.id);
  const again = chosen ? (run.step ?? 0) - chosen.step : run.step ?? 0;
  const resume = () => work(async () => {
    const answer = await startAsking(`/api/runs/${run.id}/resume`,
      { checkpoint: chosen ? chosen.name : null, confirmed: true, queue,
        session: rows === former ? {} : { rows } });
    if (answer === null) return;
    toast(queue
      ? `${run.id} waits in the queue.`
      : `${run.id} goes on from ${chosen ? chosen.name : "the beginning"}.`);
    changed(answer);
    onClose();
  });
  return h(Dialog, {
    title: `Resume ${run.id}?`, onClose,
    actions: [
      h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", icon: "resume", busy, onClick: resume, autofocus: true },
        queue ? "Put into the queue" : `Resume from ${chosen ? chosen.name : "the beginning"}`),
    ],
  },
    run.checkpoints.length > 1 && h(Field, {
      label: "Checkpoint",
      control: (attributes) => h(Select, { ...attributes, value: name, onChoose: setName, choices: choicesOf(run) }),
    }),
    h("p", {}, chosen
      ? `The training continues in the same folder from the checkpoint ${chosen.name} (${checkpointWords(chosen)}), `
        + "with the same settings as before."
      : "There is no checkpoint: the training begins again from its first step."),
    run.config && h(Field, {
      label: "Rows at once",
      hint: "Fewer need less memory. The accumulation follows, so that each update sees the same text.",
      problems: error?.fields?.["session.rows"] ?? error?.fields?.rows,
      control: (attributes) => h("input", { ...attributes, value: rows, inputMode: "numeric",
        onInput: withValue(setRows) }),
    }),
    again > 0 && h("p", {}, `The ${integer(again)} steps after it are done again; their points in the curves are `
      + "replaced. With the same machine and data they come out the same."),
    queue && h("p", {}, "Another run is training: this one is put into the queue and goes on after it."),
    h(Agreed, { run }),
    h(InferenceNotice, {}),
    error && h(Problem, { error }));
}

/** What was agreed before Start, told again where it begins to hold. @param {{run: any}} props */
function Agreed({ run }) {
  return run.config?.settings?.compute?.retry_with_less
    ? h("p", {}, "When memory runs out, it goes on by itself with half the batch: the settings say so.")
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
      toast(queue ? `${made.id} waits in the queue.` : `${made.id} starts from ${checkpoint}.`);
      onClose();
      navigate(`/runs/${made.id}`);
    });
  };
  return h(Dialog, {
    title: `Fork ${run.id}`, onClose,
    actions: [
      h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", icon: "fork", type: "submit", form: "fork-form", busy },
        queue ? "Put into the queue" : "Start the fork"),
    ],
  },
    h("p", {}, "A new run begins with the weights of a checkpoint, a fresh optimizer, and its own folder. This run "
      + "stays as it is."),
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
        label: "Name of the new run", problems: error?.fields?.name,
        control: (attributes) => h("input", { ...attributes, value: name, required: true, maxLength: 64,
          pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*", spellcheck: false,
          onInput: withValue(setName) }),
      }),
      h(Field, {
        label: "Learning rate", hint: old == null ? undefined : `The parent's is ${old}.`,
        problems: error?.fields?.["optimizer.learning_rate"],
        control: (attributes) => h("input", { ...attributes, value: learningRate, inputMode: "decimal",
          onInput: withValue(setLearningRate) }),
      }),
      queue && h("p", {}, "Another run is training: the fork is put into the queue."),
      h(Agreed, { run }),
      h(InferenceNotice, {})),
    h("p", { class: "hint" }, "To change more than that, ",
      h("a", { href: `/new?from=${run.id}`, onClick: onClose }, "clone it in the form"), "."),
    error && h(Problem, { error }));
}

/** The checkpoint that a test of the run is about: its best one, else its last. @param {any} run */
function testedCheckpoint(run) {
  const sound = /** @type {any[]} */ (run.kind === "run" ? run.checkpoints : []).filter((one) => !one.problem);
  const best = sound.find((one) => one.best);
  const chosen = best ?? sound[sound.length - 1];
  return chosen ? { name: chosen.name, words: `${best ? "best" : "last"} checkpoint beside its base` } : null;
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
    { title: "Rows as CSV", onChoose: () => downloadServed(`/api/runs/${run.id}/export?format=csv`) },
    { title: "Rows as JSON", onChoose: () => downloadServed(`/api/runs/${run.id}/export?format=json`) },
    ours && run.config && { title: "Settings as YAML",
      onChoose: () => downloadServed(`/api/runs/${run.id}/settings.yaml`) },
  ];
  const close = () => setDialog(null);
  const tested = testedCheckpoint(run);
  return h("div", { class: "run-actions" },
    ours && name === "prepared" && run.queue_position == null && h(Button, { kind: "primary", icon: "play",
      onClick: () => start(run, changed) }, "Start"),
    ours && alive && name !== "stopping" && h(Button, { kind: "primary", icon: "stop",
      onClick: () => stop(run, changed) }, "Stop and save"),
    ours && alive && h(Button, { kind: "danger", icon: "kill", onClick: () => kill(run, changed) }, "Kill"),
    ours && resumable(run) && run.queue_position == null && h(Button, { kind: "primary", icon: "resume",
      onClick: () => setDialog({ kind: "resume" }) }, "Resume"),
    ours && run.checkpoints.length > 0 && h(Button, { icon: "fork", onClick: () => setDialog({ kind: "fork" }) },
      "Fork"),
    ours && run.longer && run.queue_position == null && h(Button, { icon: "plus",
      onClick: () => setDialog({ kind: "longer" }) }, "Train longer"),
    ours && run.config && h(Button, { href: `/new?from=${run.id}` }, "Clone settings"),
    tested && h(Menu, { label: "Test", icon: "play", items: [
      { title: `In the playground, ${tested.words}`, href: testLinks(run, tested.name).playground },
      { title: `Evaluate, ${tested.words}`, href: testLinks(run, tested.name).evaluate },
    ] }),
    h(Button, { href: `/compare?runs=${run.id}` }, "Compare"),
    h(Menu, { label: "Export", icon: "download", items: exports }),
    ours && !alive && name !== "missing" && h(Button, { kind: "danger", icon: "trash", onClick: () => remove(run) },
      "Delete"),
    dialog?.kind === "resume" && h(ResumeDialog, { run, onClose: close, changed, first: dialog.checkpoint }),
    dialog?.kind === "longer" && run.longer && h(LongerDialog, { run, onClose: close, changed }),
    dialog?.kind === "fork" && h(ForkDialog, { run, onClose: close, first: dialog.checkpoint }));
}

/** What is done with several runs at once. */
import { toast, toastError } from "../../components/announce.js";
import { confirm, Dialog } from "../../components/dialog.js";
import { Button, Field, Problem } from "../../components/elements.js";
import { toastDeleted } from "../../components/undo.js";
import { del, put } from "../../lib/api.js";
import { runsChanged } from "../../lib/live.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { setQuery } from "../../lib/router.js";
import { nameOf } from "../../lib/run_words.js";

const MOST_NAMED = 8;
const MOST_COMPARED = 8;

const changed = () => {
  runsChanged.value = { count: runsChanged.value.count + 1, changed: [] };
};

/** @param {number} number */
const runsIn = (number) => number === 1 ? "1 run" : `${number} runs`;

/** @param {{runs: any[]}} props */
function Names({ runs }) {
  const more = runs.length - MOST_NAMED;
  return h("ul", { class: "plain-list" },
    runs.slice(0, MOST_NAMED).map((run) => h("li", { key: run.id, class: "break" }, nameOf(run))),
    more > 0 && h("li", { key: "more", class: "muted" }, `and ${more} more`));
}

/** @param {any[]} runs */
async function removeAll(runs) {
  const able = runs.filter((run) => run.kind === "run" && !run.state.alive);
  const others = runs.filter((run) => !able.includes(run));
  if (!able.length) {
    toast("Active and imported runs can't be deleted here.", "info");
    return;
  }
  const one = able.length === 1 ? `run “${nameOf(able[0])}”` : runsIn(able.length);
  const answers = /** @type {any[]} */ ([]);
  const failed = /** @type {string[]} */ ([]);
  const yes = await confirm({
    title: `Delete ${one}?`,
    body: [
      h("p", { key: 1 }, "Curves, logs, and checkpoints are deleted. You can undo this for one minute."),
      able.length > 1 && h(Names, { key: 2, runs: able }),
      others.length > 0 && h(
        "p", { key: 3 }, `${runsIn(others.length)} in your selection can't be deleted: still training, or `
        + "imported."),
    ],
    confirm: able.length === 1 ? "Delete run" : `Delete ${runsIn(able.length)}`,
    danger: true,
    action: async () => {
      for (const run of able) {
        try {
          answers.push(await del(`/api/runs/${run.id}`, { confirmed: true }));
        } catch (error) {
          failed.push(error instanceof Error ? error.message : String(error));
        }
      }
    },
  });
  if (!yes) return;
  setQuery({ select: null });
  changed();
  if (answers.length) toastDeleted(able.length === 1 ? `Run “${nameOf(able[0])}”` : runsIn(answers.length), answers);
  failed.forEach((sentence) => toast(sentence, "bad"));
}

/** @param {{runs: any[], onClose: () => void}} props */
function TagDialog({ runs, onClose }) {
  const [added, setAdded] = useState("");
  const there = [...new Set(runs.flatMap((run) => run.tags ?? []))].sort();
  const [kept, setKept] = useState(/** @type {Record<string, boolean>} */ ({}));
  const { busy, error, run: work } = useWork();
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    const more = added.split(",").map((tag) => tag.trim()).filter(Boolean);
    void work(async () => {
      for (const run of runs) {
        const tags = [...new Set([...(run.tags ?? []), ...more])].filter((tag) => kept[tag] !== false);
        await put(`/api/runs/${run.id}/labels`, { tags, note: run.note ?? "" });
      }
      changed();
      toast(`Tags updated on ${runsIn(runs.length)}.`);
      onClose();
    });
  };
  return h(Dialog, { title: `Tag ${runsIn(runs.length)}`, onClose, actions: [
    h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
    h(Button, { key: "yes", kind: "primary", type: "submit", form: "tag-form", busy }, "Save tags"),
  ] },
    h("form", { id: "tag-form", class: "stack", onSubmit: save },
      h(Field, { label: "Add tags", hint: "Separate tags with commas.", problems: error?.fields?.tags,
        control: (attributes) => h("input", { ...attributes, value: added, autofocus: true,
          onInput: withValue(setAdded) }) }),
      there.length > 0 && h("fieldset", { class: "choices" }, h("legend", {}, "Current tags"),
        there.map((tag) => h("label", { class: "check", key: tag },
          h("input", { type: "checkbox", checked: kept[tag] !== false,
            onChange: (/** @type {any} */ event) => setKept({ ...kept, [tag]: event.currentTarget.checked }) }),
          h("span", {}, tag,
            h("span", { class: "hint" }, ` on ${runs.filter((run) => run.tags?.includes(tag)).length}`)))))),
    error && h(Problem, { error }));
}

/** What can be done with the runs that are selected. @param {{runs: any[]}} props */
export function Bulk({ runs }) {
  const [tagging, setTagging] = useState(false);
  if (!runs.length) return null;
  const ours = runs.filter((run) => run.kind === "run");
  const compared = runs.slice(0, MOST_COMPARED);
  return h("div", { class: "bulk", role: "group", "aria-label": "Selected runs" },
    h("span", { class: "bulk-count" }, `${runsIn(runs.length)} selected`),
    h(Button, { small: true, icon: "compare", href: `/compare?runs=${compared.map((run) => run.id)}`,
      title: runs.length > MOST_COMPARED ? `Compares the first ${MOST_COMPARED}` : undefined },
    `Compare ${runsIn(compared.length)}`),
    h(Button, { small: true, icon: "tag", disabled: !ours.length, onClick: () => setTagging(true) }, "Tag…"),
    h(Button, { small: true, kind: "danger", icon: "trash", onClick: () => void removeAll(runs).catch(toastError) },
      "Delete…"),
    h(Button, { small: true, kind: "quiet", onClick: () => setQuery({ select: null }) }, "Clear selection"),
    tagging && h(TagDialog, { runs: ours, onClose: () => setTagging(false) }));
}

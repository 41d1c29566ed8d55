/** Training a run longer: a resume with a longer length where its schedule allows it, else a fork. */
import { toast } from "../../components/announce.js";
import { Button, Field, Problem } from "../../components/elements.js";
import { Dialog } from "../../components/dialog.js";
import { startAsking } from "../../components/start_asking.js";
import { status } from "../../lib/live.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { navigate } from "../../lib/router.js";
import { InferenceNotice } from "./inference_notice.js";

/** @param {{run: any, onClose: () => void, changed: (change?: any) => void}} props */
export function LongerDialog({ run, onClose, changed }) {
  const { how, checkpoint, why } = run.longer;
  const resumes = how === "resume";
  const former = run.session.length ?? run.config.settings.length;
  const [length, setLength] = useState(former);
  const [name, setName] = useState(`${run.id.slice(0, 56)}-longer`);
  const { busy, error, run: work } = useWork();
  const queue = (status.value?.active || []).some((/** @type {any} */ one) => one.id !== run.id);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void work(async () => {
      const answer = resumes
        ? await startAsking(`/api/runs/${run.id}/resume`, { checkpoint, confirmed: true, queue, session: { length } })
        : await startAsking(`/api/runs/${run.id}/fork`, { checkpoint, name, changes: { length }, queue });
      if (answer === null) return;
      toast(queue ? `“${answer.id}” was added to the queue.` : `“${answer.id}” is continuing from ${checkpoint}.`);
      onClose();
      if (resumes) changed(answer);
      else navigate(`/runs/${answer.id}`);
    });
  };
  return h(Dialog, {
    title: `Train the run “${run.id}” longer`, onClose,
    actions: [
      h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
      h(Button, {
        key: "yes", kind: "primary", icon: resumes ? "resume" : "fork", type: "submit", form: "longer", busy,
      },
        queue ? "Add to queue" : resumes ? `Resume from ${checkpoint}` : "Start fork"),
    ],
  },
    h("p", {}, why),
    h("form", { id: "longer", class: "stack", onSubmit: submit },
      h(Field, {
        label: resumes ? "Total training length" : "Training length of the fork",
        hint: resumes ? `Including the steps done so far. Currently ${former}.` : `Parent run: ${former}`,
        problems: error?.fields?.["session.length"] ?? error?.fields?.length,
        control: (attributes) => h("input", { ...attributes, value: length, required: true, spellcheck: false,
          onInput: withValue(setLength) }),
      }),
      !resumes && h(Field, {
        label: "New run name", problems: error?.fields?.name,
        control: (attributes) => h("input", { ...attributes, value: name, required: true, maxLength: 64,
          spellcheck: false, onInput: withValue(setName) }),
      })),
    queue && h("p", {}, "Another run is training, so this one will be queued."),
    h(InferenceNotice, {}),
    error && h(Problem, { error }));
}

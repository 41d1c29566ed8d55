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
      toast(queue ? `${answer.id} waits in the queue.` : `${answer.id} trains on from ${checkpoint}.`);
      onClose();
      if (resumes) changed(answer);
      else navigate(`/runs/${answer.id}`);
    });
  };
  return h(Dialog, {
    title: `Train ${run.id} longer`, onClose,
    actions: [
      h(Button, { key: "no", onClick: onClose, disabled: busy }, "Cancel"),
      h(Button, {
        key: "yes", kind: "primary", icon: resumes ? "resume" : "fork", type: "submit", form: "longer", busy,
      },
        queue ? "Put into the queue" : resumes ? `Resume from ${checkpoint}` : "Start the fork"),
    ],
  },
    h("p", {}, why),
    h("form", { id: "longer", class: "stack", onSubmit: submit },
      h(Field, {
        label: resumes ? "Length in all" : "Length of the fork",
        hint: resumes ? `Steps done so far included. It was ${former}.` : `The parent's is ${former}.`,
        problems: error?.fields?.["session.length"] ?? error?.fields?.length,
        control: (attributes) => h("input", { ...attributes, value: length, required: true, spellcheck: false,
          onInput: withValue(setLength) }),
      }),
      !resumes && h(Field, {
        label: "Name of the new run", problems: error?.fields?.name,
        control: (attributes) => h("input", { ...attributes, value: name, required: true, maxLength: 64,
          spellcheck: false, onInput: withValue(setName) }),
      })),
    queue && h("p", {}, "Another run is training: this is put into the queue."),
    h(InferenceNotice, {}),
    error && h(Problem, { error }));
}

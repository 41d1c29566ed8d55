/** Files of the user to measure on: uploaded ones, chosen by a mark. */

import { toastError } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { toastDeleted } from "../../components/undo.js";
import { del, upload } from "../../lib/api.js";
import { bytes, date } from "../../lib/format.js";
import { h, useRef, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

/** @typedef {{id: string, name: string, bytes: number, created: number}} Uploaded */

/**
 * The uploads that were sent for this.
 * @param {"text"|"questions"} purpose
 * @returns {{uploads: Uploaded[] | null, error: any, reload: () => Promise<void>, purpose: "text"|"questions"}}
 */
export function useUploads(purpose) {
  const { data, error, reload } = useResource("/api/uploads", { purpose });
  return { uploads: data?.uploads ?? null, error, reload, purpose };
}

/**
 * @param {{legend: string, hint: any, accept: string, fits: RegExp, single?: boolean,
 *   found: ReturnType<typeof useUploads>,
 *   chosen: string[], onChange: (ids: string[]) => void}} props
 * accept: endings for the file dialog; single: one of them at a time; found: the uploads to choose from
 */
export function TextSets({ legend, hint, accept, fits, single, found, chosen, onChange }) {
  const { uploads, error, reload, purpose } = found;
  const [sending, setSending] = useState(/** @type {{name: string, done: number, total: number} | null} */ (null));
  const [failure, setFailure] = useState(/** @type {any} */ (null));
  const [over, setOver] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const send = async (/** @type {File[]} */ files) => {
    setFailure(null);
    const ids = [];
    try {
      for (const file of files) {
        if (!fits.test(file.name)) throw new Error(`${file.name} can't be used. Choose a ${accept} file.`);
        setSending({ name: file.name, done: 0, total: file.size });
        const answer = await upload(file, (done, total) => setSending({ name: file.name, done, total }), undefined,
          file.name, [], purpose);
        ids.push(answer.id);
      }
    } catch (problem) {
      setFailure(problem);
    }
    setSending(null);
    await reload();
    if (ids.length > 0) onChange(single ? ids.slice(-1) : [...chosen, ...ids]);
  };
  const drop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(false);
    void send([...(event.dataTransfer?.files ?? [])]);
  };
  const remove = async (/** @type {Uploaded} */ one) => {
    try {
      const answer = await del(`/api/uploads/${encodeURIComponent(one.id)}`);
      toastDeleted(`File “${one.name}”`, answer, { deed: "removed", back: () => void reload() });
    } catch (problem) {
      toastError(problem);
    }
    onChange(chosen.filter((id) => id !== one.id));
    await reload();
  };
  const toggle = (/** @type {string} */ id) =>
    onChange(single ? [id] : chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]);
  return h("fieldset", { class: "choices" },
    h("legend", {}, legend),
    error !== null && h(Problem, { error, retry: () => void reload() }),
    h("ul", { class: "choice-list" }, (uploads ?? []).map((one) => h("li", { key: one.id },
      h("label", {}, h("input", { type: single ? "radio" : "checkbox", name: `upload-${accept}`,
        checked: chosen.includes(one.id), onChange: () => toggle(one.id) }),
        h("span", { class: "name" }, one.name)),
      h("span", { class: "hint" }, `${bytes(one.bytes)}, ${date(one.created)}`),
      h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Remove ${one.name}`,
        onClick: () => void remove(one) })))),
    h("div", { class: `drop-line${over ? " drop-over" : ""}`, onDrop: drop, onDragLeave: () => setOver(false),
      onDragOver: (/** @type {DragEvent} */ event) => { event.preventDefault(); setOver(true); } },
      h(Button, { small: true, icon: "upload", busy: sending !== null, onClick: () => input.current?.click() },
        "Upload a file…"),
      h("span", { class: "hint" }, sending
        ? `${sending.name}: ${bytes(sending.done)} of ${bytes(sending.total)}`
        : hint),
      h("input", { ref: input, type: "file", multiple: !single, hidden: true, accept, "aria-label": legend,
        onChange: () => {
          void send([...(input.current?.files ?? [])]);
          if (input.current) input.current.value = "";
        } })),
    failure !== null && h(Problem, { error: failure }));
}

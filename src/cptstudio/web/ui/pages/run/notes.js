import { toast } from "../../components/announce.js";
import { Button } from "../../components/button.js";
import { Field } from "../../components/field.js";
import { Problem } from "../../components/problem.js";
import { put } from "../../lib/api.js";
import { h, useEffect, useState, withValue } from "../../lib/preact.js";

/** Tags and a note. @param {{run: any, changed: (change?: any) => void}} props */
export function Notes({ run, changed }) {
  const [tags, setTags] = useState((run.tags || []).join(", "));
  const [note, setNote] = useState(run.note || "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  useEffect(() => {
    setTags((run.tags || []).join(", "));
    setNote(run.note || "");
  }, [run.id, (run.tags || []).join(), run.note]);
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const list = [...new Set(tags.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean))];
    try {
      changed(await put(`/api/runs/${run.id}/labels`, { tags: list, note }));
      toast("Saved.");
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return h("form", { class: "stack", onSubmit: save },
    h(Field, { label: "Tags", hint: "Separated by commas.",
      control: (attributes) => h("input", { ...attributes, value: tags, onInput: withValue(setTags) }) }),
    h(Field, { label: "Note",
      control: (attributes) => h("textarea", { ...attributes, rows: 8, value: note, onInput: withValue(setNote) }) }),
    error && h(Problem, { error }),
    h("div", {}, h(Button, { kind: "primary", type: "submit", busy }, "Save")));
}

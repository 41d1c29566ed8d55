import { toast } from "../../components/announce.js";
import { Button, Field, Problem } from "../../components/elements.js";
import { put } from "../../lib/api.js";
import { h, useEffect, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";

/** Tags and a note. @param {{run: any, changed: (change?: any) => void}} props */
export function Notes({ run, changed }) {
  const [tags, setTags] = useState((run.tags || []).join(", "));
  const [note, setNote] = useState(run.note || "");
  const { busy, error, run: work } = useWork();
  useEffect(() => {
    setTags((run.tags || []).join(", "));
    setNote(run.note || "");
  }, [run.id, (run.tags || []).join(), run.note]);
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    const list = [...new Set(tags.split(",").map((/** @type {string} */ tag) => tag.trim()).filter(Boolean))];
    void work(async () => {
      changed(await put(`/api/runs/${run.id}/labels`, { tags: list, note }));
      toast("Saved.");
    });
  };
  return h("form", { class: "stack", onSubmit: save },
    h(Field, { label: "Tags", hint: "Separate tags with commas.",
      control: (attributes) => h("input", { ...attributes, value: tags, onInput: withValue(setTags) }) }),
    h(Field, { label: "Note",
      control: (attributes) => h("textarea", { ...attributes, rows: 8, value: note, onInput: withValue(setNote) }) }),
    error && h(Problem, { error }),
    h("div", {}, h(Button, { kind: "primary", type: "submit", busy }, "Save")));
}

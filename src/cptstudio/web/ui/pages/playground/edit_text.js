/** A text that is being changed in its place: Ctrl+Enter saves, Escape leaves it as it was. */
import { Button } from "../../components/elements.js";
import { h, useEffect, useRef, useState, withValue } from "../../lib/preact.js";

/** @param {{label: string, text: string, save: (text: string) => void, cancel: () => void}} props */
export function EditText({ label, text, save, cancel }) {
  const [value, setValue] = useState(text);
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  const able = value.trim() !== "" && value !== text;
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && able) {
      event.preventDefault();
      save(value);
    }
  };
  return h("div", { class: "edit-text" },
    h("textarea", { ref: field, "aria-label": label, rows: Math.min(12, 2 + text.split("\n").length), dir: "auto",
      value, onInput: withValue(setValue), onKeyDown: keys }),
    h("div", { class: "row" },
      h(Button, { small: true, kind: "primary", disabled: !able, onClick: () => save(value) }, "Save"),
      h(Button, { small: true, onClick: cancel }, "Cancel"),
      h("span", { class: "hint shortcut-hint" }, h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Enter"))));
}

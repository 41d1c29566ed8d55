import { h, render, useEffect, useId, useRef } from "../lib/preact.js";
import { useWork } from "../lib/resource.js";
import { Button, Problem } from "./elements.js";

/**
 * A modal dialog on the browser's own `<dialog>`: it keeps the focus inside, closes on Escape,
 * and gives the focus back to where it was.
 *
 * @param {{title: string, onClose: () => void, wide?: boolean, actions?: any, children?: any}} props
 *   actions: buttons of the last line
 */
export function Dialog({ title, onClose, wide, actions, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      dialog.current?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return h("dialog", {
    ref: dialog,
    class: wide ? "dialog dialog-wide" : "dialog",
    "aria-labelledby": id,
    onCancel: (/** @type {Event} */ event) => {
      event.preventDefault();
      onClose();
    },
  },
    h("div", { class: "dialog-box" },
      h("header", { class: "dialog-head" },
        h("h2", { id }, title),
        h(Button, { kind: "quiet", icon: "close", "aria-label": "Close", onClick: onClose })),
      h("div", { class: "dialog-body" }, children),
      actions && h("footer", { class: "dialog-actions" }, actions)));
}

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {any} body what will happen, in words
 * @property {string} confirm the button's words: the deed itself, not "OK"
 * @property {string=} cancel
 * @property {boolean=} danger
 * @property {(() => Promise<any>)=} action done while the dialog is open; an error stays in it
 */

/** @param {{question: Question, done: (yes: boolean) => void}} props */
function ConfirmDialog({ question, done }) {
  const { busy, error, run } = useWork();
  const agree = () => run(async () => {
    await question.action?.();
    done(true);
  });
  return h(Dialog, {
    title: question.title,
    onClose: () => !busy && done(false),
    actions: [
      h(Button, { key: "no", onClick: () => done(false), disabled: busy, autofocus: question.danger },
        question.cancel || "Cancel"),
      h(Button, { key: "yes", kind: question.danger ? "danger" : "primary", busy, onClick: agree,
        autofocus: !question.danger },
        question.confirm),
    ],
  },
    question.body,
    error && h(Problem, { error }));
}

/**
 * Ask before something is done. True only when the user agreed (and `action`, if given, succeeded).
 *
 * @param {Question} question @returns {Promise<boolean>}
 */
export function confirm(question) {
  const place = document.createElement("div");
  document.body.append(place);
  return new Promise((resolve) => {
    const done = (/** @type {boolean} */ yes) => {
      render(null, place);
      place.remove();
      resolve(yes);
    };
    render(h(ConfirmDialog, { question, done }), place);
  });
}

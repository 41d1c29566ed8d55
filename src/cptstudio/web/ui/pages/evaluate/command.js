/** The same work as a line for the terminal. */

import { copying } from "../../components/announce.js";
import { Button } from "../../components/elements.js";
import { h } from "../../lib/preact.js";

/** A word as a POSIX shell reads it. @param {string} word */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** @param {{words: (string | number)[]}} props */
export function Command({ words }) {
  const line = words.map((word) => quoted(String(word))).join(" ");
  return h("details", { class: "command", "data-copied": true },
    h("summary", {}, "Command line"),
    h("div", { class: "command-line" }, h("pre", {}, h("code", {}, line)),
      h(Button, { small: true, onClick: copying(() => line) }, "Copy")));
}

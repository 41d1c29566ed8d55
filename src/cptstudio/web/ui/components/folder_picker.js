/** A dialog that chooses a folder of this machine. */

import { h, useState } from "../lib/preact.js";
import { useWork } from "../lib/resource.js";
import { Dialog } from "./dialog.js";
import { Button, Problem } from "./elements.js";
import { FileBrowser } from "./file_browser.js";

/**
 * @param {{title: string, use: string, choose: (path: string) => Promise<any>, close: () => void,
 *   children?: any}} props
 * use: the button's words; choose: called with the folder's path; its error stays in the dialog; children: what the
 * folder is for
 */
export function FolderPicker({ title, use, choose, close, children }) {
  const [folder, setFolder] = useState(/** @type {string|null} */ (null));
  const { busy, error, run } = useWork();
  const done = () => run(async () => {
    if (folder === null) return;
    await choose(folder);
    close();
  });
  return h(Dialog, { title, onClose: close, wide: true, actions: [
      h(Button, { key: "no", onClick: close }, "Cancel"),
      h(Button, { key: "yes", kind: "primary", busy, disabled: folder === null, onClick: done }, use),
    ] },
    children,
    h(FileBrowser, { opened: setFolder }),
    h("p", { class: "hint" }, "Folder: ", h("span", { class: "file-name" }, folder ?? "none")),
    error !== null && h(Problem, { error }));
}

/** What can be done with a model wherever it is listed. */

import { toast, toastError } from "../../components/announce.js";
import { confirm } from "../../components/dialog.js";
import { Menu } from "../../components/menu.js";
import { toastDeleted } from "../../components/undo.js";
import { del, get, urlOf } from "../../lib/api.js";
import { bytes } from "../../lib/format.js";
import { runsChanged } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { placesToUse } from "./words.js";

/** @typedef {import("./words.js").Model} Model */

const changed = () => {
  runsChanged.value = { count: runsChanged.value.count + 1, changed: [] };
};

const WHAT = /** @type {{[kind: string]: string}} */ ({ checkpoint: "checkpoint", exported: "export" });

/** @param {Model} model */
const whatIs = (model) => WHAT[model.kind] ?? "model";

/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast(`Your browser blocked copying. Copy this: ${text}`, "bad");
  }
}

/** Forget a folder that the user added; nothing on disk is deleted. @param {Model} model @param {() => void} back */
async function forget(model, back) {
  let answer;
  const gone = await confirm({
    title: `Remove “${model.name}” from the list?`,
    body: "The folder and its files are not deleted. You can add it again.",
    confirm: "Remove from list",
    action: async () => {
      answer = await del(urlOf("/api/models/folders", { id: model.reference }), { confirmed: true });
    },
  });
  if (!gone || !answer) return false;
  changed();
  toastDeleted(`Folder “${model.name}”`, answer, { deed: "removed from the list", back });
  return true;
}

/**
 * Ask, saying what depends on it, then delete; true when it is gone.
 *
 * @param {Model} model @param {() => void=} back called when the deletion was undone
 */
export async function remove(model, back = () => undefined) {
  if (model.place === "folder") return forget(model, back);
  const { deletion } = await get("/api/models/one", { id: model.reference });
  const what = whatIs(model);
  if (deletion.refusal !== null) {
    await confirm({ title: `${model.name} can't be deleted`, body: h("p", { class: "break" }, deletion.refusal),
      confirm: "Close", cancel: "Back" });
    return false;
  }
  let answer;
  const gone = await confirm({
    title: `Delete the ${what} “${model.name}”?`,
    body: [
      h("p", { key: "size" }, `Frees ${bytes(model.bytes)}. You can undo this for one minute.`),
      deletion.consequences.length > 0 && h("ul", { key: "after", class: "model-consequences" },
        deletion.consequences.map((/** @type {string} */ sentence) => h("li", { key: sentence }, sentence))),
    ],
    confirm: `Delete ${what}`,
    danger: true,
    action: async () => {
      answer = await del(urlOf("/api/models", { id: model.reference }), { confirmed: true });
    },
  });
  if (!gone || !answer) return false;
  changed();
  toastDeleted(`${capital(what)} “${model.name}”`, answer, { back: () => { changed(); back(); } });
  return true;
}

/** Everything that can be done from a row. @param {{model: Model}} props */
export function RowMenu({ model }) {
  const { playground, evaluate, chat, train } = placesToUse(model);
  const label = `Actions for ${model.name}`;
  return h(Menu, { label, icon: "more", iconOnly: true, small: true, floating: true, items: [
    playground !== undefined && { title: "Open in Playground", href: playground },
    evaluate !== undefined && { title: "Evaluate", href: evaluate },
    chat !== undefined && { title: model.kind === "checkpoint" ? "Chat again" : "Chat check", href: chat },
    train !== undefined && { title: "Train", href: train },
    { title: "Copy path", onChoose: () => void copy(model.path) },
    model.place === "workspace" && { title: "Delete…", onChoose: () => void remove(model).catch(toastError) },
    model.place === "folder" && { title: "Remove from list…", onChoose: () => void remove(model).catch(toastError) },
  ] });
}

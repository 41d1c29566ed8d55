/** Former prompts with their settings and texts. */
import { toastError } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { downloadServed } from "../../components/served_file.js";
import { confirm } from "../../components/dialog.js";
import { toastDeleted } from "../../components/undo.js";
import { del } from "../../lib/api.js";
import { ago, date, integer } from "../../lib/format.js";
import { h, useState } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { inWords } from "./sampling.js";
import { session } from "./session.js";

const PAGE = 20;
const EXCERPT = 240;

/** The words of a prompt. @param {any} prompt @returns {string} */
export function promptWords(prompt) {
  if (prompt?.chat) {
    return prompt.chat.filter((/** @type {any} */ turn) =>
      turn.role === "user").map((/** @type {any} */ turn) => turn.content).join(" / ");
  }
  return prompt?.text ?? `${prompt?.tokens?.length ?? 0} tokens`;
}

/** @param {string} text */
const excerpt = (text) => (text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text);

/** @param {{entry: any, restore: (entry: any) => void, remove: () => void}} props */
function Entry({ entry, restore, remove }) {
  const labels = [...new Set(entry.texts.map((/** @type {any} */ text) => text.label))];
  const words = excerpt(promptWords(entry.prompts[0]).trim());
  return h("li", { class: "history-entry" },
    h("div", { class: "history-words" },
      h("p", { class: "history-prompt", dir: "auto" }, words || "(empty prompt)"),
      h("p", { class: "hint" }, h("span", { title: date(entry.created) }, ago(entry.created)),
        ` · ${labels.join(", ")} · ${inWords(entry.sampling, entry.seeds?.length || 1)}`),
      h("p", { class: "history-text", dir: "auto" }, excerpt((entry.texts[0]?.text ?? "").trim()))),
    h("div", { class: "history-actions" },
      h(Button, { small: true, "aria-label": `Show again: ${words.slice(0, 60)}`, onClick: () => restore(entry) },
        "Show again"),
      h(Button, { small: true, kind: "quiet", icon: "trash", "aria-label": `Delete: ${words.slice(0, 60)}`,
        onClick: remove })));
}

/** @param {{restore: (entry: any) => void}} props */
export function History({ restore }) {
  const [shown, setShown] = useState(PAGE);
  const [turn, setTurn] = useState(0);
  const { data, error, reload } = useResource("/api/playground/history", { offset: 0, limit: shown },
    `${session.made.value} ${turn}`);
  const again = () => setTurn((value) => value + 1);
  const remove = async (/** @type {any} */ entry) => {
    try {
      const answer = await del(`/api/playground/history/${encodeURIComponent(entry.id)}`, { confirmed: true });
      again();
      toastDeleted("Prompt", answer, { back: again });
    } catch (failure) {
      toastError(failure);
    }
  };
  const clear = async () => {
    let answer;
    const gone = await confirm({
      title: "Delete all history?",
      body: `Deletes ${integer(data.total)} prompts and their outputs from this workspace. You can undo this for one `
        + "minute.",
      confirm: "Delete history", danger: true,
      action: async () => { answer = await del("/api/playground/history", { confirmed: true }); },
    });
    if (!gone || !answer) return;
    again();
    toastDeleted("History", answer, { back: again });
  };
  const entries = /** @type {any[]} */ (data?.entries || []);
  return h("section", { class: "card stack", "aria-labelledby": "history-title" },
    h("div", { class: "spread" },
      h("h2", { id: "history-title" }, "History"),
      entries.length > 0 && h("div", { class: "row" },
        h(Button, { small: true, icon: "download", onClick: () => downloadServed("/api/playground/history/export") },
          "Export JSON"),
        h(Button, { small: true, kind: "danger", icon: "trash", onClick: clear }, "Delete all…"))),
    error && h(Problem, { error, retry: reload }),
    data && entries.length === 0 && h("p", { class: "muted" }, "Your prompts and outputs are saved here with their "
      + "settings."),
    entries.length > 0 && h("ol", { class: "history-list" },
      entries.map((entry) => h(Entry, { key: entry.id, entry, restore, remove: () => void remove(entry) }))),
    data && data.total > entries.length && h(Button, { small: true, onClick: () => setShown(shown + PAGE) },
      `Show more (${integer(data.total - entries.length)} left)`));
}

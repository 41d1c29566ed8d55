/** Playground: one prompt, several models side by side. */
import { ModelChoice, modelsFromQuery, modelsToQuery, resolved, useTestingModels } from "../components/model_choice.js";
import { Problem } from "../components/elements.js";
import { bytes } from "../lib/format.js";
import { useInference } from "../lib/inference.js";
import { h, useEffect, useState } from "../lib/preact.js";
import { route, setQuery } from "../lib/router.js";
import { useSampling } from "../lib/sampling.js";
import { chat } from "./playground/chat.js";
import { ChatForm } from "./playground/chat_form.js";
import { InferenceBar } from "./playground/inference_bar.js";
import { History, promptWords } from "./playground/history.js";
import { ModeChoice } from "./playground/mode_choice.js";
import { TokenPopover } from "./playground/popover.js";
import { PromptForm } from "./playground/prompt_form.js";
import { prompt } from "./playground/prompt_state.js";
import { queryOf } from "./playground/sampling.js";
import { session } from "./playground/session.js";
import { Texts } from "./playground/texts.js";
import { Thread } from "./playground/thread.js";

/** @typedef {import("../lib/inference.js").InferenceState} InferenceState */

const MOST_MODELS = 5;

/** @param {any} entry of the history */
function restore(entry) {
  const labels = /** @type {string[]} */ ([...new Set(entry.texts.map((/** @type {any} */ text) => text.label))]);
  const first = entry.prompts[0];
  session.restore(entry);
  if (first?.chat) adopt();
  prompt.value = first?.chat ? "" : first?.text ?? promptWords(first);
  setQuery({ models: modelsToQuery(labels), mode: first?.chat ? "chat" : null,
    ...queryOf(entry.sampling, entry.seeds, first?.chat ? "chat" : "text") }, { push: true });
  document.getElementById("prompt")?.scrollIntoView({ block: "center" });
}

/** The texts of a chat are a conversation. */
function adopt() {
  chat.adopt(session.texts.peek());
  session.texts.value = [];
}

/**
 * Those that are not in memory.
 * @param {InferenceState | null} inference @param {string[]} chosen
 */
function missingOf(inference, chosen) {
  const there = inference?.running ? inference.models.map((model) => model.label) : [];
  return chosen.filter((one) => !there.includes(one));
}

/**
 * The choice folds away once it is made, for it is long.
 * @param {{ready: boolean, chosen: string[], children?: any}} props
 */
function Models({ ready, chosen, children }) {
  const [open, setOpen] = useState(!ready);
  useEffect(() => setOpen(!ready), [ready]);
  return h("details", { class: "playground-models", open,
    onToggle: (/** @type {Event} */ event) => setOpen(/** @type {HTMLDetailsElement} */ (event.currentTarget).open) },
    h("summary", {}, h("h2", {}, "Models"),
      h("span", { class: "hint" }, chosen.length ? chosen.join(" · ") : "Choose a base model and up to four "
        + "checkpoints.")),
    children);
}

export default function Playground() {
  const { models, error, reload } = useTestingModels();
  const inference = useInference();
  const sampling = useSampling();
  const chosen = resolved(models, modelsFromQuery(route.value.query["models"])).slice(0, MOST_MODELS);
  const missing = missingOf(inference, chosen);
  const usable = chosen.length > 0 && chosen.every((one) =>
    !models || models.some((model) => model.reference === one && !model.error));
  const why = !chosen.length ? "Choose a model first." : !usable ? "Remove the unavailable model." : "";
  const size = (models || []).filter((model) => missing.includes(model.reference))
    .reduce((sum, model) => sum + (model.bytes ?? 0), 0);
  const loads = missing.length && !why ? size ? `Loads ${bytes(size)} of weights.` : "Loads the models first." : "";
  const ready = why === "" && missing.length === 0;
  const [looked, setLooked] = useState(false);
  useEffect(() => {
    if (inference && !looked) {
      setLooked(true);
      // Who comes back finds the models that are in memory, or those of the texts.
      const known = session.texts.peek().length
        ? [...new Set(session.texts.peek().map((text) => text.label))]
        : inference.models.map((model) => model.label);
      if (route.peek().query["models"] === undefined && known.length) {
        setQuery({ models: modelsToQuery(known.slice(0, MOST_MODELS)) });
      }
    }
  }, [inference]);
  useEffect(() => {
    if (!inference?.tasks?.length) return;
    session.takeUp(inference.tasks);
    if (session.texts.peek().some(({ state }) => state && "chat" in state.origin)) adopt();
  }, [inference]);
  const [editing, setEditing] = useState(-1);
  const talks = route.value.query["mode"] === "chat";
  const chats = (/** @type {string} */ one) => inference?.models?.find((model) => model.label === one)?.chat
    ?? models?.find((model) => model.reference === one)?.chat ?? false;
  const possible = chosen.length > 0 && chosen.every(chats);
  return [
    h("header", { key: "head", class: "page-head" }, h("h1", {}, "Playground"),
      h(ModeChoice, { chat: talks, possible })),
    h("section", { key: "models", class: "card stack", "aria-label": "Models" },
      h(Models, { ready, chosen },
        h(ModelChoice, { models, error, reload, chosen, most: MOST_MODELS, legend: "Choose models",
          onChange: (references) => setQuery({ models: modelsToQuery(references) }) })),
      h(InferenceBar, { inference })),
    sampling.error !== null && h(Problem, { key: "problem", error: sampling.error, retry: sampling.reload }),
    sampling.ready && !talks && h(PromptForm, { key: "prompt", chosen, why, loads }),
    !talks && h(Texts, { key: "texts" }),
    talks && h(Thread, { key: "thread", editing, edit: setEditing }),
    sampling.ready && talks && h(ChatForm, { key: "chat", chosen, possible, why, loads,
      editLast: () => setEditing(chat.exchanges.peek().length - 1) }),
    h(History, { key: "history", restore }),
    h(TokenPopover, { key: "popover" }),
  ];
}

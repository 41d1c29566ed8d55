/** Models by sets of held-out text: what is asked, and its result. */

import { isUnderWay, StartJob } from "../../components/asked_jobs.js";
import { Button, Empty } from "../../components/elements.js";
import { NumberField } from "../../components/number_field.js";
import { useChosenModels } from "../../components/model_choice.js";
import { h } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { Command } from "./command.js";
import { CorpusChoice, SideChoice } from "./corpus_choice.js";
import { BYTES, CONTEXT, STRIDE, USUAL_BYTES } from "./held_out.js";
import { WorkView } from "./reports.js";
import { setsFromQuery, setsToQuery, useRoles } from "./roles.js";
import { TableResult } from "./table_result.js";
import { TextSets, useUploads } from "./text_sets.js";

const MOST_MODELS = 16;
export const TEXT_FILES = /\.(txt|jsonl|md)$/i;
const listed = (/** @type {string | undefined} */ text) => (text ?? "").split(",").filter(Boolean);

/** What the URL asks for. */
function asked() {
  const { query } = route.value;
  const side = query["side"] === "test" ? "test" : "validation";
  return {
    texts: listed(query["texts"]),
    side,
    max_bytes: checkedNumber(query["bytes"] ?? "", BYTES).number ?? USUAL_BYTES,
    context_length: checkedNumber(query["context"] ?? "", CONTEXT).number,
    stride: checkedNumber(query["stride"] ?? "", STRIDE).number,
  };
}

export function TableView() {
  return h(WorkView, { kind: "evaluation", label: "Running evaluations", former: "Past evaluations",
    kept: "Finished measurements are kept: run it again to continue.",
    Result: TableResult, Ask: AskTable });
}

/** @param {{open: boolean}} props open: nothing else is shown, so the form is unfolded */
function AskTable({ open }) {
  const { models, chosen, choice } = useChosenModels(MOST_MODELS);
  const { roleOf, known } = useRoles(chosen);
  const want = { ...asked(), models: chosen, corpora: setsFromQuery(route.value.query["sets"], known) };
  const found = useUploads("text");
  const texts = want.texts.filter((id) => found.uploads === null || found.uploads.some((one) => one.id === id));
  const { query } = route.value;
  const wrong = [checkedNumber(query["bytes"] ?? "", BYTES), checkedNumber(query["context"] ?? "", CONTEXT),
    checkedNumber(query["stride"] ?? "", STRIDE)].some((one) => one.problem !== "");
  const missing = missingWords(chosen.length, want.corpora.length + texts.length)
    || (wrong ? "Fix the highlighted fields." : "");
  if (models?.length === 0) {
    return h(Empty, { title: "Nothing to evaluate yet",
      actions: h(Button, { kind: "primary", href: "/new" }, "New run") },
      h("p", {}, "Evaluation compares a base model with its trained checkpoints. Download a base model and train a "
        + "run, then measure its checkpoints here."));
  }
  return h("details", { class: "card ask", open },
    h("summary", {}, h("h2", {}, "Evaluate models")),
    h("div", { class: "ask-columns" },
      choice,
      h("div", { class: "stack" },
        h(CorpusChoice, { side: want.side, chosen: want.corpora, roleOf,
          onChange: (names) => setQuery({ sets: setsToQuery(names) }) }),
        h(TextSets, { legend: "Your own texts", accept: ".txt,.md,.jsonl", fits: TEXT_FILES, found, chosen: texts,
          hint: "A text file, or a .jsonl file with a \"text\" field on each line.",
          onChange: (ids) => setQuery({ texts: ids.join(",") }) }),
        h(SideChoice, { side: want.side, onChange: (side) => setQuery({ side: side === "test" ? side : null }) }),
        h(Limits, { want }))),
    h(StartJob, { action: "Evaluate", path: "/api/evaluation/evaluations", body: { ...want, texts }, missing,
      note: isUnderWay("evaluation") ? "Another evaluation is running; this one may have to wait." : "" }),
    missing === "" && h(Command, { words: commandWords(want, texts, found.uploads) }));
}

/** @param {number} models @param {number} sets */
function missingWords(models, sets) {
  const needed = [models === 0 && "a model", sets === 0 && "a corpus or a text"].filter(Boolean);
  return needed.length > 0 ? `Choose ${needed.join(" and ")}.` : "";
}

/** @param {{want: ReturnType<typeof asked>}} props */
function Limits({ want }) {
  const { query } = route.value;
  const typed = (/** @type {string} */ name) =>
    ({ text: query[name] ?? "", onText: (/** @type {string} */ text) => setQuery({ [name]: text }) });
  return h("div", { class: "stack" },
    h(NumberField, { ...typed("bytes"), label: "Text per corpus", unit: "bytes",
      hint: "Maximum per corpus, always the same text. More is more precise but slower.",
      limits: BYTES, initial: String(USUAL_BYTES) }),
    h("details", { class: "advanced", open: want.context_length !== null || want.stride !== null },
      h("summary", {}, "Context length and stride"),
      h("div", { class: "stack" },
        h(NumberField, { ...typed("context"), label: "Context length", unit: "tokens",
          hint: "Longer documents are read in windows. Default: the largest length that all selected models "
            + "support, up to "
            + "2,048.",
          limits: CONTEXT, placeholder: "automatic" }),
        h(NumberField, { ...typed("stride"), label: "Stride", unit: "tokens", hint: "New tokens per window. Fewer "
          + "give each token more context but take longer. Default: a full window.",
          limits: STRIDE, placeholder: "full window" }))));
}

/**
 * @param {ReturnType<typeof asked> & {models: string[], corpora: string[]}} want @param {string[]} texts
 * @param {any[] | null} uploads
 */
function commandWords(want, texts, uploads) {
  const words = /** @type {(string | number)[]} */ (["cpt-studio", "evaluate", ...want.models]);
  for (const name of want.corpora) words.push("-c", name);
  for (const id of texts) words.push("-t", uploads?.find((one) => one.id === id)?.name ?? "FILE");
  if (want.side !== "validation") words.push("--split", want.side);
  if (want.max_bytes !== USUAL_BYTES) words.push("--max-bytes", want.max_bytes);
  if (want.context_length !== null) words.push("--context-length", want.context_length);
  if (want.stride !== null) words.push("--stride", want.stride);
  return words;
}

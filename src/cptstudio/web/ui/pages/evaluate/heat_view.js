/** Scoring texts with models in memory: what is asked, how far it is, and the heat map. */

import { Button, Empty, Problem } from "../../components/elements.js";
import { useChosenModels } from "../../components/model_choice.js";
import { score } from "../../lib/inference.js";
import { h, useState } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { route, setQuery } from "../../lib/router.js";
import { HeatResult } from "./heat_result.js";
import { InferenceLine, TaskProgress, useTask } from "./inference_line.js";
import { chosenText, nameOfText, TextChoice } from "./text_choice.js";

const MOST_MODELS = 4;

export function HeatView() {
  const { query } = route.value;
  const { models, chosen, choice } = useChosenModels(MOST_MODELS);
  const [second, setSecond] = useState(Boolean(query["b"]) || chosenText("b") !== null);
  const { busy, error: problem, run } = useWork();
  const [loaded, setLoaded] = useState(false);
  const { task, error: lost } = useTask(query["task"] ?? null);
  const texts = ["a", ...(second ? ["b"] : [])].map(chosenText);
  const complete = texts.every((text) => text !== null);
  const start = () => run(async () => {
    const made = await score({ labels: chosen, texts, context_length: null, stride: null });
    setQuery({ task: made.id });
  });
  if (models?.length === 0) {
    return h(Empty, { title: "No models yet",
      actions: h(Button, { kind: "primary", href: "/new" }, "New run") },
      h("p", {}, "The heat map shows how well models predict each token of a text. Download a base model and train a "
        + "run, then compare its checkpoints with the base model here."));
  }
  const scoring = busy || task?.state === "running";
  const result = task?.state === "done" ? task.result : null;
  const missing = [chosen.length === 0 && "a model", !complete && "a text"].filter(Boolean).join(" and ");
  return h("div", { class: "stack" },
    h("details", { class: "card ask", open: result === null },
      h("summary", {}, h("h2", {}, "Models and text")),
      h("div", { class: "ask-columns" },
        h("div", { class: "stack" }, choice, h(InferenceLine, { chosen, onLoaded: setLoaded })),
        h("div", { class: "stack" },
          h(TextChoice, { slot: "a", title: second ? "First text" : "Text" }),
          second
            ? h("div", { class: "stack" }, h(TextChoice, { slot: "b", title: "Second text" }),
              h("p", {}, h(Button, { small: true, onClick: () => { setSecond(false); setQuery({ b: null }); } },
                "Remove the second text")))
            : h("p", {}, h(Button, { small: true, icon: "plus", onClick: () => setSecond(true) }, "Add a second text"),
              " ", h("span", { class: "hint" }, "for example, one domain and one general text")))),
      h("div", { class: "form-actions" },
        h(Button, { kind: "primary", icon: "play", busy: scoring, disabled: missing !== "" || !loaded,
          "aria-describedby": "score-missing", onClick: () => void start() }, "Score"),
        h("span", { class: "hint", id: "score-missing" },
          missing ? `Choose ${missing}.` : loaded ? "" : "Load the models first."))),
    problem !== null && h(Problem, { error: problem }),
    lost !== null && h(Problem, { error: lost }),
    task !== null && task.state !== "done" && h(TaskProgress, { task, title: "Scoring" }),
    result?.models && h(HeatResult, { key: task?.id, result,
      names: result.texts.map((/** @type {any} */ text, /** @type {number} */ at) =>
        nameOfText(text, at, result.texts.length)) }));
}

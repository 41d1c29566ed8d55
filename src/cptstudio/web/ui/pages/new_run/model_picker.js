/** The choice of the base model: what lies on this machine, another folder, or a download. */

import { get, post } from "../../lib/api.js";
import { confirm } from "../../components/dialog.js";
import { Button, Problem } from "../../components/elements.js";
import { FolderPicker } from "../../components/folder_picker.js";
import { ModelDownload } from "../../components/model_download.js";
import { h, useEffect, useState, withValue } from "../../lib/preact.js";
import { RecommendedModels } from "../../components/recommended_models.js";
import { CheckpointPicker } from "./checkpoint_picker.js";
import { Choice } from "./choice.js";
import { ModelCheck } from "./model_check.js";
import { useModelFits } from "./model_fits.js";
import { ModelChoice } from "./model_choice.js";
import { FieldProblems } from "./setting_control.js";
import { controlId, problemsOf } from "./problems.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */
/** @typedef {import("./model_facts.js").Model} Model */

/** The fewest models for which a filter is worth its place. */
const MANY = 6;

/** @param {{form: NewRunForm}} props */
export function ModelPicker({ form }) {
  const [models, setModels] = useState(/** @type {Model[]|null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [filter, setFilter] = useState("");
  const id = controlId("model.path");
  const value = String(form.values.value["model.path"] ?? "");
  const problems = problemsOf(form, "model.path");
  const fixed = form.fixed("model.path");

  /** @param {((model: Model) => boolean)=} wanted chosen when it is there */
  const load = async (wanted) => {
    try {
      const answer = await get("/api/models");
      setModels(answer.models);
      setError(null);
      const found = wanted && answer.models.find(wanted);
      if (found) form.set("model.path", found.id);
    } catch (problem) {
      setError(problem);
    }
  };
  useEffect(() => void load(), []);

  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const listed = (models ?? []).filter((model) => {
    const text = `${model.name} ${model.id} ${model.architecture ?? ""}`.toLowerCase();
    return isChosen(model, value) || words.every((word) => text.includes(word));
  });
  const fits = useModelFits(fixed ? [] : listed.filter((model) => model.error === null));
  const ofRun = /^[^/@]+@[^/@]+$/.test(value);
  const elsewhere = models !== null && value !== "" && !ofRun && !models.some((model) => isChosen(model, value));
  const checkable = (models ?? []).find((model) => isChosen(model, value) && model.error === null);
  return h("fieldset", { class: "model-picker", "aria-describedby": `${id}-problem`, disabled: fixed },
    h("legend", {}, "Base model"),
    fixed && h("p", { class: "hint" }, "Fixed: a fork keeps its parent's model and starts from its checkpoint."),
    models !== null && models.length > MANY && h("div", { class: "model-filter" },
      h("label", { for: "model-filter" }, "Filter"),
      h("input", { id: "model-filter", type: "search", value: filter, autocomplete: "off",
        onInput: withValue(setFilter) })),
    error !== null && h(Problem, { error, retry: () => load() }),
    models === null && error === null && h("p", { class: "hint", "aria-busy": "true" }, "Looking for models…"),
    models !== null && models.length === 0 && h("p", { class: "empty-note" },
      "No models on this machine yet. Download a recommended model or add a folder."),
    h("div", { class: "choices" },
      elsewhere && h(Choice, { kind: "radio", name: "model", id, title: value, chosen: true,
        invalid: problems.length > 0, choose: () => undefined },
        h("span", { class: "choice-facts" }, "from the settings; not found on this machine")),
      listed.map((model, index) => h(ModelChoice, { key: model.id, model, chosen: isChosen(model, value),
        id: isChosen(model, value) || (index === 0 && !elsewhere && (value === "" || ofRun)) ? id : `${id}-${index}`,
        invalid: problems.length > 0, describedBy: `${id}-problem`,
        fits: model.id in fits ? (fits[model.id] ?? {}) : null,
        choose: () => form.set("model.path", model.id) }))),
    checkable && h(ModelCheck, { key: checkable.id, model: checkable }),
    h("div", { id: `${id}-problem`, class: "problem-place" },
      problems.length > 0 && h(FieldProblems, { id: `${id}-sentences`, sentences: problems })),
    !fixed && h(CheckpointPicker, { form, open: ofRun }),
    !fixed && models !== null && h("details", { class: "model-other", open: models.length === 0 },
      h("summary", {}, "Recommended models"),
      h(RecommendedModels, { arrived: (id) => load((model) => model.id === id || model.origin?.id === id) })),
    !fixed && h(OtherModel, { added: (id) => load((model) => model.id === id) }),
    !fixed && h(ModelDownload, { known: models ?? [],
      arrived: (id) => load((model) => model.id === id || model.origin?.id === id) }));
}

/** @param {Model} model @param {string} value */
function isChosen(model, value) {
  return value !== "" && [model.id, model.path].includes(value);
}

/** A folder that is in no list. @param {{added: (id: string) => void}} props */
function OtherModel({ added }) {
  const [text, setText] = useState("");
  const [browsing, setBrowsing] = useState(false);
  const path = text.trim();
  const use = async () => {
    if (path === "") return;
    /** @type {Model|null} */
    let model = null;
    const sure = await confirm({
      title: "Use the model in this folder?",
      body: `CPT Studio will read ${path} and add it to the list of models. Its files are never changed.`,
      confirm: "Use model",
      action: async () => {
        model = await post("/api/models/folders", { path, confirmed: true });
      },
    });
    if (!sure || model === null) return;
    setText("");
    added(/** @type {Model} */ (model).id);
  };
  return h("details", { class: "model-other" },
    h("summary", {}, "Use a model in another folder"),
    h("div", { class: "model-other-body" },
      h("label", { for: "model-folder" }, "Model folder on this machine"),
      h("div", { class: "setting-pair" },
        h("input", { id: "model-folder", type: "text", autocomplete: "off", spellcheck: false, value: text,
          placeholder: "/home/me/models/my-model",
          onInput: withValue(setText),
          onKeyDown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            void use();
          } }),
        h(Button, { disabled: path === "", onClick: use }, "Use this folder…"),
        h(Button, { icon: "folder", onClick: () => setBrowsing(true) }, "Browse…"))),
    browsing && h(FolderPicker, { title: "Choose a model folder", use: "Use this model",
      close: () => setBrowsing(false),
      choose: async (folder) => added((await post("/api/models/folders", { path: folder, confirmed: true })).id) },
    h("p", {}, "A model folder has a config.json and its weights as .safetensors files. CPT Studio reads it and lists "
      + "it among the models; nothing in it is changed.")));
}

/** Choosing models to test: base models, and the checkpoints of each run. */
import { bits, bytes, integer } from "../lib/format.js";
import { runsChanged } from "../lib/live.js";
import { h, useId, useState } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { route, setQuery } from "../lib/router.js";
import { Badge, Button, Icon, Problem } from "./elements.js";

/**
 * A row of GET /api/evaluation/models.
 * @typedef {{reference: string, label: string, kind: "base" | "checkpoint", group: string, run: string | null,
 *   base: string | null, step: number | null, created: number | null, bytes: number | null, adapter: boolean,
 *   best: boolean, last: boolean, domain_bits_per_byte: number | null, chat: boolean | null,
 *   error: string | null}} EvaluationModel
 */

/**
 * All models that can be tested, kept fresh.
 * @returns {{models: EvaluationModel[] | null, error: any, reload: () => Promise<void>}}
 */
export function useTestingModels() {
  const { data, error, reload } = useResource("/api/evaluation/models", undefined, runsChanged.value.count);
  return { models: data?.models ?? null, error, reload };
}

/**
 * The row that a reference means; "RUN@last", "RUN@best" and "RUN@200" are understood.
 *
 * @param {EvaluationModel[]} models @param {string} reference @returns {EvaluationModel | undefined}
 */
export function findModel(models, reference) {
  const exact = models.find((model) => model.reference === reference);
  if (exact) return exact;
  const at = reference.lastIndexOf("@");
  const run = at < 0 ? reference : reference.slice(0, at);
  const which = at < 0 ? "last" : reference.slice(at + 1);
  return models.find((model) => model.run === run
    && ((which === "last" && model.last) || (which === "best" && model.best) || String(model.step) === which));
}

/**
 * References as the server's list names them; unknown ones stay as they are.
 * @param {EvaluationModel[] | null} models @param {string[]} references
 */
export function resolved(models, references) {
  return [...new Set(references.map((one) => (models && findModel(models, one)?.reference) || one))];
}

/** The references of a query parameter. @param {string | undefined} text */
export const modelsFromQuery = (text) =>
  (text || "").split(",").filter(Boolean).map((one) => one.replaceAll("%2C", ","));

/** References as one query parameter; folders may have commas. @param {string[]} references */
export const modelsToQuery = (references) => references.map((one) => one.replaceAll(",", "%2C")).join(",");

/** What is said of a model besides its name. @param {EvaluationModel} model */
function facts(model) {
  return [
    model.domain_bits_per_byte != null && `${bits(model.domain_bits_per_byte)} bits per byte`,
    model.adapter && "adapter",
    model.bytes != null && bytes(model.bytes),
    model.chat && "chat template",
  ].filter(Boolean).join(" · ");
}

/** @param {{model: EvaluationModel, checked: boolean, full: boolean, onToggle: () => void}} props */
function Choice({ model, checked, full, onToggle }) {
  const id = useId();
  const disabled = Boolean(model.error) || (full && !checked);
  return h("li", { class: "tested-option" },
    h("input", { type: "checkbox", id, checked, disabled, onChange: onToggle, "aria-describedby": `${id}-facts` }),
    h("label", { for: id }, model.kind === "checkpoint" && model.step != null
      ? `Step ${integer(model.step)}`
      : model.label),
    h("span", { class: "tested-facts", id: `${id}-facts` },
      model.best && h(Badge, { tone: "good", icon: "check" }, "best"),
      model.last && h(Badge, {}, "last"),
      h("span", { class: "hint" }, facts(model)),
      model.error && h("span", { class: "field-problem" }, model.error)));
}

/** @param {EvaluationModel[]} models @returns {[string, EvaluationModel[]][]} base models first, then the newest run */
function grouped(models) {
  /** @type {Map<string, EvaluationModel[]>} */
  const groups = new Map();
  for (const model of models) groups.set(model.group, [...(groups.get(model.group) || []), model]);
  return [...groups];
}

/**
 * @param {{name: string, models: EvaluationModel[], chosen: string[], full: boolean, open: boolean,
 *   toggle: (reference: string) => void}} props
 */
function Group({ name, models, chosen, full, open, toggle }) {
  const [unfolded, setUnfolded] = useState(open);
  const marked = models.filter((model) => chosen.includes(model.reference)).length;
  const kind = `${models[0].kind === "base" ? "model" : "checkpoint"}${models.length === 1 ? "" : "s"}`;
  return h("details", { class: "tested-group", open: unfolded,
    onToggle: (/** @type {Event} */ event) =>
      setUnfolded(/** @type {HTMLDetailsElement} */ (event.currentTarget).open) },
    h("summary", {}, h("span", { class: "tested-group-name" }, name),
      h("span", { class: "hint" }, `${integer(models.length)} ${kind}${marked ? `, ${marked} chosen` : ""}`)),
    unfolded && h("ul", { class: "tested-options" }, models.map((model) => h(Choice, {
      key: model.reference, model, checked: chosen.includes(model.reference), full,
      onToggle: () => toggle(model.reference),
    }))));
}

/**
 * Choose models. The first chosen one is what the others are compared with.
 *
 * @param {{models: EvaluationModel[] | null, error?: any, reload?: () => void, chosen: string[],
 *   onChange: (references: string[]) => void, most: number, legend?: string}} props most: how many may be chosen
 */
export function ModelChoice({ models, error, reload, chosen, onChange, most, legend = "Models" }) {
  if (error && !models) return h(Problem, { error, retry: reload });
  if (!models) return h("p", { class: "muted", "aria-busy": "true" }, "Looking for models…");
  const full = chosen.length >= most;
  const toggle = (/** @type {string} */ reference) => {
    if (chosen.includes(reference)) {
      onChange(chosen.filter((one) => one !== reference));
      return;
    }
    const base = models.find((model) => model.reference === reference)?.kind === "base";
    const none = !chosen.some((one) => models.find((model) => model.reference === one)?.kind === "base");
    // What a run began with is the natural thing to compare with.
    onChange(base && none ? [reference, ...chosen] : [...chosen, reference]);
  };
  const groups = grouped(models);
  return h("fieldset", { class: "tested-choice" },
    h("legend", {}, legend),
    h("ol", { class: "tested-chosen", "aria-label": "Selected models" }, chosen.map((reference, index) => {
      const known = models.some((model) => model.reference === reference);
      return h("li", { key: reference, class: known ? undefined : "tested-unknown" },
        h("span", { class: "tested-name" }, reference),
        index === 0 && chosen.length > 1 && h("span", { class: "tag" }, "baseline"),
        !known && h("span", { class: "field-problem" }, "no longer available"),
        index > 0 && h(Button, { small: true, kind: "quiet", title: "Compare the other models with this one",
          "aria-label": `Use as baseline: ${reference}`,
          onClick: () => onChange([reference, ...chosen.filter((one) => one !== reference)]) }, "Use as baseline"),
        h(Button, { small: true, kind: "quiet", icon: "close", "aria-label": `Remove ${reference}`,
          onClick: () => onChange(chosen.filter((one) => one !== reference)) }));
    })),
    models.length === 0 && h("p", { class: "notice" }, h(Icon, { name: "info" }),
      "No models on this machine yet. Download one on the Models page."),
    h("div", { class: "tested-groups" }, groups.map(([name, ofGroup], index) => h(Group, {
      key: name, name, models: ofGroup, chosen, full, toggle,
      open: index === 0 || ofGroup.some((model) => chosen.includes(model.reference)) || groups.length < 4,
    }))),
    full && h("p", { class: "hint" }, `Up to ${most} models at once.`));
}

/** The models that the URL names, and the choice of them. @param {number} most @param {string=} legend */
export function useChosenModels(most, legend) {
  const { models, error, reload } = useTestingModels();
  const chosen = resolved(models, modelsFromQuery(route.value.query["models"]));
  const choice = h(ModelChoice, { models, error, reload: () => void reload(), chosen, most, legend,
    onChange: (references) => setQuery({ models: modelsToQuery(references) }) });
  return { models, chosen, choice };
}

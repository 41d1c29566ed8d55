/** Where a checkpoint is tested beside what it began with. */
import { modelsToQuery } from "../../components/model_choice.js";
import { urlOf } from "../../lib/api.js";

/**
 * Links to the playground and to Evaluate with the run's base model and a checkpoint of it.
 *
 * @param {any} run @param {string} checkpoint its folder's name
 */
export function testLinks(run, checkpoint) {
  const base = run.config?.settings?.model?.path ?? run.model?.path;
  const models = modelsToQuery([base, `${run.id}@${checkpoint}`].filter(Boolean));
  return {
    playground: urlOf("/playground", { models }).replaceAll("%2C", ","),
    merge: urlOf("/evaluate", { view: "merge", checkpoint: modelsToQuery([`${run.id}@${checkpoint}`]) }),
    chat: urlOf("/evaluate", { view: "chat", checkpoint: modelsToQuery([`${run.id}@${checkpoint}`]) }),
    evaluate: urlOf("/evaluate", { view: "table", models }).replaceAll("%2C", ","),
  };
}

/** Models: all of this machine, one with all that can be done with it, and how to get others. */

import { h } from "../lib/preact.js";
import { route } from "../lib/router.js";
import { GetModels } from "./models/get_models.js";
import { ModelList } from "./models/list.js";
import { OneModel } from "./models/one.js";

export default function ModelsPage() {
  const { model, get } = route.value.query;
  if (model) return h(OneModel, { key: model, reference: model });
  return get === undefined ? h(ModelList, {}) : h(GetModels, {});
}

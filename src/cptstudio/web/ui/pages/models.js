/** Models: all of this machine, one with all that can be done with it, and how to get others. */

import { h } from "../lib/preact.js";
import { route } from "../lib/router.js";
import { GetModels } from "./models/get_models.js";
import { ModelList } from "./models/list.js";
import { OneModel } from "./models/one.js";
import { OneEndpoint } from "./models/serve.js";

export default function ModelsPage() {
  const { model, get, serve } = route.value.query;
  if (model) return h(OneModel, { key: model, reference: model });
  if (serve) return h(OneEndpoint, { key: serve, id: serve });
  return get === undefined ? h(ModelList, {}) : h(GetModels, {});
}

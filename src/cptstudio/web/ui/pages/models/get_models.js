/** How to get a model: the recommended ones, a search of the hub. */

import { get } from "../../lib/api.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { navigate } from "../../lib/router.js";
import { PageHeader } from "../../components/layout.js";
import { HubAccount } from "../../components/hub_account.js";
import { ModelDownload } from "../../components/model_download.js";
import { RecommendedModels } from "../../components/recommended_models.js";
import { addressOf } from "./words.js";

export function GetModels() {
  const [known, setKnown] = useState(/** @type {any[]} */ ([]));
  useEffect(() => void get("/api/models").then((answer) => setKnown(answer.models), () => undefined), []);
  const arrived = (/** @type {string} */ reference) => navigate(addressOf(reference));
  return h("div", { class: "stack" },
    h(PageHeader, { title: "Get a model", back: { href: "/models", title: "Models" } }),
    h(ModelDownload, { known, arrived, open: true }),
    h("section", { class: "stack", "aria-labelledby": "recommended-title" },
      h("h2", { id: "recommended-title" }, "Recommended for this machine"), h(RecommendedModels, { arrived })),
    h(HubAccount, {}));
}

/** Drafts: that this is one, and that there is another one. */

import { ago } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { navigate } from "../../lib/router.js";
import { Button, Icon } from "../../components/elements.js";
import { corporaOf } from "./tree.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** @param {{form: NewRunForm}} props */
export function DraftNotice({ form }) {
  const offered = form.offered.value;
  if (offered === null) return null;
  const { id, draft } = offered;
  const go = () => navigate(draft.url, { state: { draft: id } });
  return h("section", { class: "notice", "aria-label": "Draft" },
    h(Icon, { name: "info" }),
    h("div", { class: "draft-notice" },
      h("p", {}, "You have an unfinished draft: ", h("strong", {}, wordsOf(draft)),
        `, saved ${ago(draft.saved / 1000)}.`),
      h("div", { class: "row" },
        h(Button, { small: true, onClick: go }, "Continue draft"),
        h(Button, { small: true, kind: "quiet", onClick: () => form.refuseOffered() }, "Discard"))));
}

/** @param {import("./drafts.js").Draft} draft */
function wordsOf(draft) {
  const model = String(draft.values["model.path"] ?? "").replace(/\/+$/, "").split("/").pop();
  const corpora = corporaOf(draft.values).map((use) => use.name).filter(Boolean).join(", ");
  return draft.name ?? ([model || "no model yet", corpora].filter(Boolean).join(" on ") || "settings");
}

/** A card of the hub, as text and nothing else: it is a stranger's. */

import { h } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./elements.js";
import { Skeleton } from "./placeholders.js";

/** @param {{id: string, kind: "model"|"dataset", close: () => void}} props */
export function HubCard({ id, kind, close }) {
  const { data, error, reload } = useResource("/api/hub/card", { id, kind });
  return h(Dialog, { title: id, wide: true, onClose: close },
    h("div", { class: "stack" },
      error !== null && h(Problem, { error, retry: reload }),
      data === null && error === null && h(Skeleton, { label: "Loading the card…", lines: 8 }),
      data !== null && h("p", {}, "License: ", h("strong", {}, data.license ?? "not named by the card"),
        data.base && ` · Base: ${data.base}`, " · ", h(HubPage, { address: data.page })),
      data !== null && h("pre", { class: "model-text", tabIndex: 0, role: "region", "aria-label": "Card" },
        data.text.trim() || "The card is empty.")));
}

/** A link to the hub, which learns nothing of where it was followed from. @param {{address: string}} props */
export function HubPage({ address }) {
  return h("a", { href: address, target: "_blank", rel: "noreferrer noopener" }, "Open on the hub");
}

/** Who may use this page: sessions, and how to end them. */

import { post } from "../../lib/api.js";
import { h } from "../../lib/preact.js";
import { sessionEnded } from "../../lib/api.js";
import { Button } from "../../components/button.js";
import { confirm } from "../../components/dialog.js";

export function Session() {
  const end = async () => {
    const ended = await confirm({
      title: "End all sessions?",
      body: "Every browser that has this page open must enter again with the address the server printed, this one too. Runs go on.",
      confirm: "End all sessions",
      danger: true,
      action: () => post("/api/session/end", {}),
    });
    if (ended) sessionEnded.value = true;
  };
  return h("section", { class: "card", "aria-labelledby": "settings-session" },
    h("h2", { id: "settings-session" }, "Security"),
    h("p", {}, "This page is for you alone: it answers on ", h("code", {}, location.host),
      " and only to browsers that entered with the server's token."),
    h("p", { class: "hint" }, "The token lies in the workspace under .cpt-studio, readable by you only. No request leaves this machine unless you search or download a model."),
    h("div", { class: "row" }, h(Button, { kind: "danger", onClick: end }, "End all sessions…")));
}

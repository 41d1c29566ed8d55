/** Who may use this page: sessions, and how to end them. */

import { post } from "../../lib/api.js";
import { h } from "../../lib/preact.js";
import { endSession } from "../../lib/session.js";
import { Button } from "../../components/elements.js";
import { confirm } from "../../components/dialog.js";

export function Session() {
  const ask = async (/** @type {Parameters<typeof confirm>[0]} */ asked) => {
    if (await confirm(asked)) endSession();
  };
  const end = () => ask({ title: "Sign out?", confirm: "Sign out", action: () => post("/api/session/end", {}),
    body: "All pages in this browser will have to sign in again. Runs continue." });
  const endAll = () => ask({ title: "End all sessions?", confirm: "End all sessions", danger: true,
    action: () => post("/api/session/end-all", {}),
    body: "All browsers and programs, including this page, will have to sign in again. Runs continue." });
  return h("section", { class: "card", "aria-labelledby": "settings-session" },
    h("h2", { id: "settings-session" }, "Security"),
    h("p", {}, "This page is for you alone: it answers on ", h("code", {}, location.host),
      " and only to browsers that signed in with the server's file or its token."),
    h("p", { class: "hint" }, "The token lies in the workspace under .cpt-studio, readable by you only. No request "
      + "leaves this machine unless you search or download a model."),
    h("div", { class: "row" }, h(Button, { onClick: end }, "Sign out…"),
      h(Button, { kind: "danger", onClick: endAll }, "End all sessions…")));
}

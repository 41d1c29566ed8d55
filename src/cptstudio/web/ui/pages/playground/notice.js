/** What went wrong, until it is closed. */
import { Button, Icon } from "../../components/elements.js";
import { h } from "../../lib/preact.js";
import { session } from "./session.js";

export function NoticeOf() {
  const notice = session.notice.value;
  return notice && h("div", { class: "notice notice-bad", role: "alert" }, h(Icon, { name: "alert" }),
    h("div", { class: "stack notice-stack" },
      h("p", {}, notice.message),
      notice.problems.length > 0 && h("ul", {},
        notice.problems.map((sentence) => h("li", { key: sentence }, sentence))),
      h("div", { class: "row" },
        h(Button, { small: true, onClick: () => { session.notice.value = null; } }, "Close"))));
}

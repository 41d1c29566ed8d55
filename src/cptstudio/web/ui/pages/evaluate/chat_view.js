/** Can the model still chat? A check of habits, and ways to bring them back after training on documents. */

import { Segmented } from "../../components/segmented.js";
import { h } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { AskAgain, AskCheck } from "./chat_form.js";
import { ChatResult } from "./chat_result.js";
import { madeOrSaved, SavedModels } from "./merge_saves.js";
import { WorkView } from "./reports.js";

const KEPT = "Answers and measurements that were finished are kept: started again, it goes on from there.";

export function ChatView() {
  const check = route.value.query["do"] === "check";
  return h("div", { class: "stack" },
    h(Segmented, { label: "What to do", value: check ? "check" : "again",
      choices: [["again", "Bring chat back"], ["check", "Check models"]],
      onChoose: (one) => setQuery({ do: one === "check" ? one : null, report: null, point: null }) }),
    check
      ? h(WorkView, { key: "check", kind: "chat-check", label: "Running chat checks", former: "Past chat checks",
        kept: KEPT, Result: ChatResult, Ask: AskCheck })
      : h(WorkView, { key: "again", kind: "chat-again", label: "Running chat again", former: "Past results",
        kept: KEPT, Result: ChatResult, Ask: AskAgain, finished: madeOrSaved }, h(SavedModels, {})));
}

/** What to do next, told from what there is. */
import { Icon } from "../../components/icons.js";
import { Card } from "../../components/layout.js";
import { h } from "../../lib/preact.js";
import { nameOf, resumable } from "../../lib/run_words.js";
import { lastNews } from "./last_runs.js";

const MOST = 4;

/** @typedef {{icon: string, title: string, why: string, href: string}} Step */

/** @param {any[]} runs @returns {Step[]} the most pressing first */
function stepsFor(runs) {
  const own = runs.filter((run) => run.kind === "run").sort((a, b) => lastNews(b) - lastNews(a));
  const at = (/** @type {any} */ run) => `/runs/${run.id}`;
  const prepared = own.find((run) => run.state.name === "prepared" && run.queue_position == null);
  const broken = own.find((run) => resumable(run) && run.step != null);
  const done = own.filter((run) => run.state.outcome === "completed");
  const measured = own.filter((run) => run.domain?.last != null);
  return [
    prepared && { icon: "play", title: `Start ${nameOf(prepared)}`, why: "Not started yet.",
      href: at(prepared) },
    broken && { icon: "resume", title: `Resume ${nameOf(broken)}`,
      why: "It stopped before finishing.", href: at(broken) },
    done.length > 0 && { icon: "playground", title: "Try the trained model",
      why: "Base and trained model side by side on one prompt.", href: "/playground" },
    measured.length > 1 && { icon: "compare", title: "Compare your last two runs",
      why: `${nameOf(measured[0])} and ${nameOf(measured[1])}: curves and differing settings.`,
      href: `/compare?runs=${measured[0].id},${measured[1].id}` },
    done.length > 0 && { icon: "evaluate", title: "Evaluate on held-out text",
      why: "Is the improvement real? See confidence intervals.", href: "/evaluate" },
    { icon: "data", title: "Add documents", why: "More domain text, or general text that limits forgetting.",
      href: "/data?add=1" },
  ].filter((step) => !!step).slice(0, MOST);
}

/** @param {{runs: any[]}} props */
export function NextSteps({ runs }) {
  return h(Card, { title: "What to do next", icon: "flag", flush: true },
    h("ul", { class: "next-steps" }, stepsFor(runs).map((step) => h("li", { key: step.title },
      h("a", { href: step.href }, h(Icon, { name: step.icon }),
        h("span", { class: "next-step-words" }, h("strong", {}, step.title), h("span", { class: "hint" }, step.why)),
        h(Icon, { name: "arrow" }))))));
}

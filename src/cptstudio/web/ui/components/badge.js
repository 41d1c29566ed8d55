import { h } from "../lib/preact.js";
import { Icon } from "./icon.js";

/**
 * A short label with a tone; the words carry the meaning, the colour only helps.
 *
 * @param {{tone?: "good" | "bad" | "warn" | "info" | "live" | "quiet", icon?: string, title?: string, class?: string,
 *   children?: any}} props
 */
export function Badge({ tone = "quiet", icon, title, class: more, children }) {
  return h("span", { class: `badge badge-${tone}${more ? ` ${more}` : ""}`, title },
    tone === "live" ? h("span", { class: "badge-dot", "aria-hidden": "true" }) : icon && h(Icon, { name: icon }),
    children);
}

/**
 * How a state is said and shown.
 *
 * @param {{name: string, outcome?: string | null}} state
 * @returns {{words: string, tone: "good" | "bad" | "warn" | "info" | "live" | "quiet", icon: string | undefined}}
 */
export function stateWords(state) {
  const ended = /** @type {Record<string, any>} */ ({
    completed: { words: "Completed", tone: "good", icon: "check" },
    stopped: { words: "Stopped", tone: "info", icon: "stop" },
    failed: { words: "Failed", tone: "bad", icon: "alert" },
    killed: { words: "Killed", tone: "warn", icon: "kill" },
  });
  const others = /** @type {Record<string, any>} */ ({
    prepared: { words: "Prepared", tone: "quiet", icon: "pause" },
    running: { words: "Running", tone: "live" },
    stopping: { words: "Stopping", tone: "live" },
    orphaned: { words: "Running without keeper", tone: "warn", icon: "alert" },
    lost: { words: state.outcome ? `Lost; it reported: ${state.outcome}` : "Lost", tone: "warn", icon: "alert" },
    missing: { words: "Missing", tone: "bad", icon: "alert" },
  });
  return (state.name === "ended" ? ended[state.outcome || ""] : others[state.name])
    || { words: state.name, tone: "quiet" };
}

/**
 * A run's state in words.
 *
 * @param {{state: {name: string, outcome?: string | null, reason?: string}, stalled?: boolean,
 *   queued?: number | null}} props
 */
export function StateBadge({ state, stalled, queued }) {
  if (queued != null) {
    return h(Badge, { class: "state", tone: "info", icon: "pause", title: state.reason }, `Queued, place ${queued}`);
  }
  const { words, tone, icon } = stateWords(state);
  if (stalled) {
    return h(Badge, { class: "state", tone: "warn", icon: "alert", title: state.reason }, `${words}, no sign of life`);
  }
  return h(Badge, { class: "state", tone, icon, title: state.reason }, words);
}

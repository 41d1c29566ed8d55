/** The small parts that every page is drawn of. */
import { connection, runsChanged } from "../lib/live.js";
import { effect, h, useEffect, useId, useRef, withValue } from "../lib/preact.js";
import { reasonOf } from "../lib/run_words.js";
import { Icon } from "./icons.js";

export { Icon };
export { Empty } from "./placeholders.js";

/**
 * A button, or a link that looks like one when `href` is given.
 *
 * @param {{kind?: "primary" | "danger" | "quiet" | "plain", small?: boolean, icon?: string, href?: string,
 *   busy?: boolean, disabled?: boolean, type?: "button" | "submit", onClick?: (event: Event) => void,
 *   children?: any, [attribute: string]: any}} props
 */
export function Button({ kind = "plain", small, icon, href, busy, disabled, type, children, ...rest }) {
  const name = `button${kind === "plain" ? "" : ` button-${kind}`}${small ? " button-small" : ""}`;
  const content = [icon && h(Icon, { name: icon, key: "icon" }), children];
  if (href) return h("a", { ...rest, href, class: name }, content);
  return h("button", { ...rest, type: type || "button", class: name, disabled: disabled || busy,
    "aria-busy": busy ? "true" : undefined },
    content);
}

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
    killed: { words: "Force-stopped", tone: "warn", icon: "kill" },
  });
  const others = /** @type {Record<string, any>} */ ({
    prepared: { words: "Not started", tone: "quiet", icon: "pause" },
    running: { words: "Running", tone: "live" },
    stopping: { words: "Stopping", tone: "live" },
    orphaned: { words: "Running unattended", tone: "warn", icon: "alert" },
    lost: { words: state.outcome ? `Lost (reported ${state.outcome})` : "Lost", tone: "warn", icon: "alert" },
    missing: { words: "Missing", tone: "bad", icon: "alert" },
  });
  return (state.name === "ended" ? ended[state.outcome || ""] : others[state.name])
    || { words: state.name, tone: "quiet" };
}

/**
 * A run's state in words.
 *
 * @param {{state: {name: string, outcome?: string | null, reason?: string}, stalled?: boolean,
 *   queued?: number | null, phase?: {name: string, title: string} | null}} props phase: said in place of "Running"
 */
export function StateBadge({ state, stalled, queued, phase }) {
  if (queued != null) {
    return h(Badge, { class: "state", tone: "info", icon: "pause", title: reasonOf(state.reason) },
      `Queued #${queued}`);
  }
  const { words: plain, tone, icon } = stateWords(state);
  const words = phase && phase.name !== "training" && state.name !== "orphaned" ? phase.title : plain;
  if (stalled) {
    return h(Badge, { class: "state", tone: "warn", icon: "alert", title: reasonOf(state.reason) },
      `${words}, not responding`);
  }
  return h(Badge, { class: "state", tone, icon, title: reasonOf(state.reason) }, words);
}

/**
 * A labelled control with its help and its problems.
 *
 * @param {{label: string, hint?: any, unit?: string, problems?: string[], inline?: boolean,
 *   control: (attributes: {id: string, "aria-describedby": string | undefined,
 *   "aria-invalid": "true" | undefined}) => any}} props
 *   control: makes the input with these attributes
 */
export function Field({ label, hint, unit, problems = [], inline, control }) {
  const id = useId();
  const describedBy = [hint && `${id}-hint`, problems.length && `${id}-problem`].filter(Boolean).join(" ");
  return h("div", { class: inline ? "field field-inline" : "field" },
    h("label", { for: id }, label, unit && h("span", { class: "field-unit" }, ` (${unit})`)),
    control({ id, "aria-describedby": describedBy || undefined, "aria-invalid": problems.length ? "true" : undefined }),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    problems.length > 0 &&
      h("div", { class: "field-problem", id: `${id}-problem` },
        problems.map((sentence) => h("p", { key: sentence }, sentence))));
}

/**
 * One choice of several.
 * @param {{value: any, choices: readonly any[][], none?: string, onChoose: (value: string) => void,
 *   [attribute: string]: any}} props
 * choices: value and words of each; none: the words of no choice, ""
 */
export function Select({ value, choices, none, onChoose, ...attributes }) {
  return h("select", { ...attributes, value, onChange: withValue(onChoose) },
    none !== undefined && h("option", { value: "" }, none),
    choices.map(([one, words]) => h("option", { key: one, value: one, selected: one === value }, words)));
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

/**
 * What went wrong, as text: the sentence, each single problem, and a way to try again,
 * which is gone by itself as soon as the server is back.
 *
 * @param {{error: any, retry?: () => void}} props error: an ApiError or any Error
 */
export function Problem({ error, retry }) {
  const problems = /** @type {string[]} */ (error?.problems || []);
  const wait = useRef(FIRST_WAIT_MS);
  useEffect(() => {
    if (!retry || !error?.passing) return undefined;
    let first = true;
    const stop = effect(() => {
      // The server is back, or has news: what could not be loaded is loaded without a click.
      if (connection.value.state === "live" && runsChanged.value && !first) retry();
      first = false;
    });
    // One request may fail while all others are answered, and then nothing tells that it would not any more.
    const timer = setTimeout(() => connection.peek().state === "live" && retry(), wait.current);
    wait.current = Math.min(2 * wait.current, LONGEST_WAIT_MS);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [error]);
  return h("div", { class: "problem", role: "alert" },
    h(Icon, { name: "alert" }),
    h("div", { class: "problem-text" },
      h("p", {}, error?.message || String(error)),
      problems.length > 0 && h("ul", {}, problems.map((sentence) => h("li", { key: sentence }, sentence))),
      retry && h("button", { type: "button", class: "button button-small", onClick: retry }, "Try again")));
}

/** The small parts that every page is drawn of. */
import { connection, runsChanged } from "../lib/live.js";
import { effect, h, useEffect, useId, withValue } from "../lib/preact.js";

/** Paths on a 16 by 16 grid, drawn with the text's colour. */
const PATHS = {
  again: "M12.6 5.4A5.4 5.4 0 1 0 13.4 8M12.9 2.4v3.2H9.7",
  alert: "M8 2 1.5 13.5h13L8 2Zm0 4.5v3.2m0 1.9v.1",
  check: "m3 8.5 3.2 3.2L13 4.8",
  chevron: "m5.5 6.5 2.5 3 2.5-3",
  close: "m4 4 8 8m0-8-8 8",
  download: "M8 2.5v7m-3-3 3 3 3-3M3 13.2h10",
  file: "M4 1.8h5l3 3v9.4H4V1.8Zm5 0v3h3",
  folder: "M1.8 4v8.6h12.4V5.4H7.6L6.2 4H1.8Z",
  fork: "M4.5 5.5v5m7-5c0 3-7 2-7 5M4.5 2.3a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Zm7 0a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 "
    + "0 0 0-3.2Zm-7 8.2a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Z",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 5.4v3.9M8 4.8v.1",
  kill: "M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3l3.5-3.5ZM6 6l4 4m0-4-4 4",
  minus: "M3.5 8h9",
  pause: "M5.5 3.5v9m5-9v9",
  pin: "M5.5 2h5l-.8 4.2L12 9H4l2.3-2.8L5.5 2ZM8 9v5",
  play: "M4.5 2.8v10.4L13 8 4.5 2.8Z",
  plus: "M8 3v10M3 8h10",
  resume: "M3 3v10m3-10v10l7-5-7-5Z",
  stop: "M3.8 3.8h8.4v8.4H3.8V3.8Z",
  table: "M2 3h12v10H2V3Zm0 3.4h12M2 9.7h12M6.5 6.4V13",
  trash: "M2.8 4.3h10.4M6.2 4V2.3h3.6V4m-5.6.3.6 9.4h6.4l.6-9.4",
  upload: "M8 10.5v-7m-3 3 3-3 3 3M3 13.2h10",
  zoom_out: "M7 2.3a4.7 4.7 0 1 0 0 9.4 4.7 4.7 0 0 0 0-9.4Zm3.5 8.2 3.3 3.3M5 7h4",
};

/**
 * A small drawing. It is decoration: what it means stands in words beside it, or in `label`.
 *
 * @param {{name: string, label?: string}} props
 */
export function Icon({ name, label }) {
  const known = /** @type {Record<string, string>} */ (PATHS);
  return h("svg", {
    class: "icon",
    viewBox: "0 0 16 16",
    width: 16,
    height: 16,
    role: label ? "img" : undefined,
    "aria-label": label,
    "aria-hidden": label ? undefined : "true",
  },
    h("path", { d: known[name] || known.info }));
}

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

/**
 * What is shown where nothing is yet, and what to do about it.
 *
 * @param {{title: string, children?: any, actions?: any}} props
 */
export function Empty({ title, children, actions }) {
  return h("div", { class: "empty" },
    h("h2", {}, title),
    h("div", { class: "empty-body" }, children),
    actions && h("div", { class: "empty-actions" }, actions));
}

/**
 * What went wrong, as text: the sentence, each single problem, and a way to try again,
 * which is gone by itself as soon as the server is back.
 *
 * @param {{error: any, retry?: () => void}} props error: an ApiError or any Error
 */
export function Problem({ error, retry }) {
  const problems = /** @type {string[]} */ (error?.problems || []);
  useEffect(() => {
    if (!retry || !error?.passing) return undefined;
    let first = true;
    return effect(() => {
      // The server is back, or has news: what could not be loaded is loaded without a click.
      if (connection.value.state === "live" && runsChanged.value && !first) retry();
      first = false;
    });
  }, [error]);
  return h("div", { class: "problem", role: "alert" },
    h(Icon, { name: "alert" }),
    h("div", { class: "problem-text" },
      h("p", {}, error?.message || String(error)),
      problems.length > 0 && h("ul", {}, problems.map((sentence) => h("li", { key: sentence }, sentence))),
      retry && h("button", { type: "button", class: "button button-small", onClick: retry }, "Try again")));
}

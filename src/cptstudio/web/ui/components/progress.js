import { post } from "../lib/api.js";
import { bytes, count, duration, rate } from "../lib/format.js";
import { h } from "../lib/preact.js";
import { toastError } from "./announce.js";
import { Button } from "./elements.js";

/**
 * How far something is. Without a total it says only that it goes on.
 *
 * @param {{label: string, done?: number | null, total?: number | null, text?: string}} props
 */
export function Progress({ label, done, total, text }) {
  const known = total != null && total > 0 && done != null;
  return h("progress", {
    class: "progress",
    "aria-label": label,
    "aria-valuetext": text,
    value: known ? Math.min(done, total) : undefined,
    max: known ? total : undefined,
  });
}

/** How far something is, how fast, and how long it has to go. @param {any} job */
export function amounts(job) {
  const say = job.unit === "bytes" ? bytes : count;
  const parts = [];
  if (job.done != null) {
    parts.push(job.total
      ? `${say(job.done)} of ${say(job.total)}${job.unit === "bytes" ? "" : ` ${job.unit}`}`
      : `${say(job.done)}${job.unit === "bytes" ? "" : ` ${job.unit}`}`);
  }
  if (job.rate) parts.push(rate(job.rate, job.unit));
  if (job.remaining_seconds != null) parts.push(`${duration(job.remaining_seconds)} left`);
  return parts.join(" · ");
}

/**
 * A job of the server: progress, rate, remaining time, cancel; at the end how it ended.
 *
 * @param {{job: any, onClose?: () => void, children?: any}} props
 */
export function JobProgress({ job, onClose, children }) {
  const active = job.state === "waiting" || job.state === "running";
  const cancel = () => post(`/api/jobs/${job.id}/cancel`, {}).catch(toastError);
  const words = /** @type {Record<string, string>} */ ({
    waiting: "Waiting", running: job.phase || "Working…", done: "Done", failed: "Failed", cancelled: "Cancelled",
  });
  return h("div", { class: `job job-${job.state}` },
    h("div", { class: "job-head" },
      h("strong", {}, job.title),
      h("span", { class: "job-state" }, words[job.state] || job.state),
      active && h(Button, { small: true, onClick: cancel }, "Cancel"),
      !active && onClose && h(Button, { small: true, kind: "quiet", icon: "close", "aria-label": `Close ${job.title}`,
        onClick: onClose })),
    active && h(Progress, { label: job.title, done: job.done, total: job.total, text: amounts(job) }),
    active && h("p", { class: "hint" }, amounts(job), job.detail ? ` · ${job.detail}` : ""),
    job.state === "failed" && job.error && h("p", { class: "field-problem" }, job.error),
    job.state === "failed" && job.problems?.length > 0 && h("ul", { class: "field-problem" },
      job.problems.map((/** @type {string} */ sentence) => h("li", { key: sentence }, sentence))),
    children);
}

import { connection, runsChanged } from "../lib/live.js";
import { effect, h, useEffect } from "../lib/preact.js";
import { Icon } from "./icon.js";

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

import { h } from "../lib/preact.js";
import { Icon } from "./icon.js";

/**
 * What went wrong, as text: the sentence, each single problem, and a way to try again.
 *
 * @param {{error: any, retry?: () => void}} props error: an ApiError or any Error
 */
export function Problem({ error, retry }) {
  const problems = /** @type {string[]} */ (error?.problems || []);
  const fields = /** @type {[string, string[]][]} */ (Object.entries(error?.fields || {}));
  const said = (/** @type {string} */ sentence) => problems.some((one) => one.endsWith(sentence));
  return h(
    "div",
    { class: "problem", role: "alert" },
    h(Icon, { name: "alert" }),
    h(
      "div",
      { class: "problem-text" },
      h("p", {}, error?.message || String(error)),
      (problems.length > 0 || fields.length > 0) &&
        h(
          "ul",
          {},
          problems.map((sentence) => h("li", { key: sentence }, sentence)),
          fields.flatMap(([name, sentences]) =>
            sentences
              .filter((sentence) => !said(sentence))
              .map((sentence) => h("li", { key: name + sentence }, sentence)),
          ),
        ),
      retry && h("button", { type: "button", class: "button button-small", onClick: retry }, "Try again"),
    ),
  );
}

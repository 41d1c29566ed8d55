import { h } from "../lib/preact.js";
import { Icon } from "./icon.js";

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

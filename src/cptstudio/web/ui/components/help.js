import { h, useId, useRef } from "../lib/preact.js";
import { Icon } from "./elements.js";

const MARGIN = 8;

/** Below its button, inside the window. @param {HTMLElement} box @param {HTMLElement} button */
function place(box, button) {
  const at = button.getBoundingClientRect();
  const view = document.documentElement;
  const left = Math.min(at.left - 12, view.clientWidth - box.offsetWidth - MARGIN);
  const below = at.bottom + 6;
  const fits = below + box.offsetHeight + MARGIN <= innerHeight;
  box.style.left = `${Math.max(MARGIN, left)}px`;
  box.style.top = `${fits ? below : Math.max(MARGIN, at.top - box.offsetHeight - 6)}px`;
}

/**
 * An explanation behind an "i": opened by a click or a key, closed by Escape or a click elsewhere. What it explains
 * can name `id` in its aria-describedby, open or not.
 *
 * @param {{about: string, id?: string, children?: any}} props about: what is explained, for the button's name
 */
export function Help({ about, id, children }) {
  const own = useId();
  const name = id ?? own;
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const close = () => box.current?.hidePopover();
  const toggled = (/** @type {any} */ event) => {
    const open = event.newState === "open";
    if (open && box.current && button.current) place(box.current, button.current);
    // It stands still while its button moves away.
    if (open) addEventListener("scroll", close, { once: true, passive: true });
    else removeEventListener("scroll", close);
  };
  return [
    h("button", { key: "button", type: "button", class: "help-button", ref: button, popovertarget: name,
      "aria-label": `About ${about}` }, h(Icon, { name: "info" })),
    h("div", { key: "text", id: name, class: "help-text", popover: "auto", ref: box, onToggle: toggled }, children),
  ];
}

import { h, useEffect, useId, useRef, useState } from "../lib/preact.js";
import { Button } from "./elements.js";

const MARGIN = 8;

/** Below its button, inside the window. @param {HTMLElement} list @param {HTMLElement} button */
function place(list, button) {
  const at = button.getBoundingClientRect();
  const fits = at.bottom + list.offsetHeight + MARGIN <= innerHeight;
  list.style.left = `${Math.max(MARGIN, at.right - list.offsetWidth)}px`;
  list.style.top = `${fits ? at.bottom : Math.max(MARGIN, at.top - list.offsetHeight - MARGIN)}px`;
}

/**
 * A button with a small menu: arrow keys, Escape, closes on a click elsewhere.
 *
 * @param {{label: string, icon?: string, small?: boolean, iconOnly?: boolean, floating?: boolean,
 *   items: ({title: string, onChoose?: () => void, href?: string, disabled?: boolean} | null | false | undefined)[]}}
 *   props floating: above everything, for a place that would cut it off, such as a table that scrolls
 */
export function Menu({ label, icon, small, iconOnly, floating, items }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const choices = () => /** @type {HTMLElement[]} */ ([...(box.current?.querySelectorAll("[role=menuitem]") || [])]);
  useEffect(() => {
    if (!open) return undefined;
    const list = /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector("[role=menu]"));
    const button = box.current?.querySelector("button");
    const away = () => setOpen(false);
    if (floating && list && button) {
      list.showPopover();
      place(list, button);
      // It stands still while its button moves away.
      addEventListener("scroll", away, { capture: true, passive: true });
    }
    choices()[0]?.focus({ preventScroll: true });
    const outside = (/** @type {Event} */ event) => {
      if (!box.current?.contains(/** @type {Node} */ (event.target))) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      removeEventListener("scroll", away, { capture: true });
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("button")?.focus();
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (!open) return;
    const all = choices();
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const targets = /** @type {Record<string, number>} */ ({ ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0,
      End: all.length - 1 });
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Tab") {
      setOpen(false);
    } else if (event.key in targets) {
      event.preventDefault();
      all[targets[event.key] % all.length]?.focus();
    }
  };
  return h("div", { class: "menu", ref: box, onKeyDown: keys },
    h(Button, {
      icon,
      small,
      "aria-haspopup": "menu",
      "aria-expanded": open ? "true" : "false",
      "aria-controls": open ? id : undefined,
      "aria-label": iconOnly ? label : undefined,
      onClick: () => setOpen(!open),
    },
      !iconOnly && label),
    open &&
      h("div", { class: "menu-list", role: "menu", id, "aria-label": label,
        popover: floating ? "manual" : undefined },
        items.filter((item) => !!item).map((item) =>
          item.href
            ? h("a", { key: item.title, role: "menuitem", tabIndex: -1, href: item.href,
              onClick: () => setOpen(false) }, item.title)
            : h("button", {
              key: item.title, type: "button", role: "menuitem", tabIndex: -1, disabled: item.disabled,
              onClick: () => { close(); item.onChoose?.(); },
            },
                item.title))));
}

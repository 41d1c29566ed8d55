import { h, useEffect, useId, useRef, useState } from "../lib/preact.js";
import { Button } from "./elements.js";

/**
 * A button with a small menu: arrow keys, Escape, closes on a click elsewhere.
 *
 * @param {{label: string, icon?: string, small?: boolean, iconOnly?: boolean,
 *   items: ({title: string, onChoose?: () => void, href?: string, disabled?: boolean} | null | false)[]}} props
 */
export function Menu({ label, icon, small, iconOnly, items }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  const choices = () => /** @type {HTMLElement[]} */ ([...(place.current?.querySelectorAll("[role=menuitem]") || [])]);
  useEffect(() => {
    if (!open) return undefined;
    choices()[0]?.focus();
    const outside = (/** @type {Event} */ event) => {
      if (!place.current?.contains(/** @type {Node} */ (event.target))) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const close = () => {
    setOpen(false);
    place.current?.querySelector("button")?.focus();
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
  return h("div", { class: "menu", ref: place, onKeyDown: keys },
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
      h("div", { class: "menu-list", role: "menu", id, "aria-label": label },
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

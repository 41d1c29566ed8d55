import { h, useId, useRef } from "../lib/preact.js";

/**
 * Tabs with the arrow keys; the chosen one is the caller's (usually in the URL).
 *
 * @param {{label: string, tabs: {id: string, title: string, count?: number}[], chosen: string,
 *   onChoose: (id: string) => void, children?: any}} props children: the chosen tab's content
 */
export function Tabs({ label, tabs, chosen, onChoose, children }) {
  const id = useId();
  const list = useRef(/** @type {HTMLDivElement | null} */ (null));
  const move = (/** @type {KeyboardEvent} */ event) => {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -tabs.length, End: tabs.length };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.id === chosen);
    const wrapped = Math.abs(step) === 1 ? (at + step + tabs.length) % tabs.length : step < 0 ? 0 : tabs.length - 1;
    onChoose(tabs[wrapped].id);
    /** @type {HTMLElement | null | undefined} */ (list.current?.children[wrapped])?.focus();
  };
  return h("div", { class: "tabs" },
    h("div", { class: "tab-list", role: "tablist", "aria-label": label, ref: list, onKeyDown: move },
      tabs.map((tab) =>
        h("button", {
          key: tab.id,
          type: "button",
          role: "tab",
          id: `${id}-${tab.id}`,
          "aria-selected": tab.id === chosen ? "true" : "false",
          "aria-controls": `${id}-panel`,
          tabIndex: tab.id === chosen ? 0 : -1,
          onClick: () => onChoose(tab.id),
        },
          tab.title,
          tab.count != null && h("span", { class: "tab-count" }, tab.count)))),
    h("div", { class: "tab-panel", role: "tabpanel", id: `${id}-panel`, "aria-labelledby": `${id}-${chosen}`,
      tabIndex: 0 }, children));
}

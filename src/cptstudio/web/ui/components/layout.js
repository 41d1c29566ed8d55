/** How a page is laid out: its head, its cards, its toolbars. */
import { h, useId } from "../lib/preact.js";
import { Icon } from "./icons.js";

/**
 * The head of a page: what it is, what it is for, and what can be done here.
 *
 * @param {{title: any, lead?: any, back?: {href: string, title: string}, badge?: any, children?: any}} props
 *   badge: beside the title; children: buttons at the right
 */
export function PageHeader({ title, lead, back, badge, children }) {
  return h("header", { class: "page-head" },
    h("div", { class: "page-head-words" },
      back && h("a", { class: "page-back", href: back.href }, h(Icon, { name: "arrow" }), back.title),
      h("div", { class: "page-title" }, h("h1", {}, title), badge),
      lead && h("p", { class: "page-lead" }, lead)),
    children && h("div", { class: "page-actions" }, children));
}

/**
 * A card with a heading. Without a title it is only a surface.
 *
 * @param {{title?: any, icon?: string, actions?: any, flush?: boolean, class?: string, children?: any}} props
 *   flush: its content reaches the edges, as a table or a list does
 */
export function Card({ title, icon, actions, flush, class: more, children }) {
  const id = useId();
  const names = ["card", flush && "card-flush", more].filter(Boolean).join(" ");
  if (!title) return h("div", { class: names }, children);
  return h("section", { class: names, "aria-labelledby": id },
    h("div", { class: "card-head" }, icon && h(Icon, { name: icon }), h("h2", { id }, title),
      actions && h("div", { class: "card-actions" }, actions)),
    h("div", { class: "card-body" }, children));
}

/**
 * A line of controls over a list: those that choose at the left, those that act at the right.
 *
 * @param {{label: string, end?: any, children?: any}} props
 */
export function Toolbar({ label, end, children }) {
  return h("div", { class: "toolbar", role: "group", "aria-label": label },
    h("div", { class: "toolbar-part" }, children),
    end && h("div", { class: "toolbar-part toolbar-end" }, end));
}

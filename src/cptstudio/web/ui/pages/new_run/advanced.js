/** All settings beyond the basic ones, by group; a closed group shows what was changed. */

import { h } from "../../lib/preact.js";
import { problemsOf } from "./problems.js";
import { ResetButton, SettingControl, shownValue } from "./setting_control.js";

/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** What is open while all groups are in view. */
export const ALL_GROUPS = "*";

/** @param {{form: NewRunForm, settings: readonly Setting[], folded: boolean}} props folded: until it is opened */
export function Advanced({ form, settings, folded }) {
  const groups = [...new Set(settings.map((setting) => setting.group))];
  const changed = settings.filter((setting) => form.chosen(setting.name));
  const open = !folded || form.openGroups.value.has(ALL_GROUPS);
  const state = h("span", { class: "advanced-count" },
    changed.length === 0 ? "no changes" : `${changed.length} changed`);
  return h("section", { class: "advanced", "aria-labelledby": "advanced-title" },
    h("h3", { id: "advanced-title" }, folded
      ? h("button", { type: "button", class: "group-toggle", "aria-expanded": open ? "true" : "false",
        onClick: () => form.openGroup(ALL_GROUPS, !open) }, h("span", { class: "group-arrow", "aria-hidden": "true" }),
        "Advanced", state)
      : ["Advanced", state]),
    open
      ? groups.map((group) => h(Group, { key: group, form, group,
        settings: settings.filter((one) => one.group === group) }))
      : h(Closed, { form, settings }));
}

/**
 * What stays in view of closed settings: what was changed, and what is wrong.
 * @param {{form: NewRunForm, settings: readonly Setting[]}} props
 */
function Closed({ form, settings }) {
  // A field with a problem is always there to be corrected.
  const wrong = settings.filter((setting) => problemsOf(form, setting.name).length > 0);
  const changed = settings.filter((setting) => form.chosen(setting.name) && !wrong.includes(setting));
  return [
    changed.length > 0 && h("ul", { key: "changed", class: "changed-list" },
      changed.map((setting) => h(Changed, { key: setting.name, form, setting }))),
    wrong.length > 0 && h("div", { key: "wrong", class: "setting-grid" },
      wrong.map((setting) => h(SettingControl, { key: setting.name, form, setting }))),
  ];
}

/** @param {{form: NewRunForm, group: string, settings: readonly Setting[]}} props */
function Group({ form, group, settings }) {
  const open = form.openGroups.value.has(group);
  const id = `group-${group || "run"}`;
  const changed = settings.filter((setting) => form.chosen(setting.name)).length;
  return h("div", { class: `group${open ? " group-open" : ""}` },
    h("h4", {},
      h("button", { type: "button", class: "group-toggle", "aria-expanded": open ? "true" : "false",
        "aria-controls": id,
        onClick: () => form.openGroup(group, !open) },
        h("span", { class: "group-arrow", "aria-hidden": "true" }),
        settings[0]?.heading ?? group,
        h("span", { class: "group-count" }, changed > 0 ? `${changed} changed` : ""))),
    h("div", { id, class: "group-body" },
      open
        ? h("div", { class: "setting-grid" },
          settings.map((setting) => h(SettingControl, { key: setting.name, form, setting })))
        : h(Closed, { form, settings })));
}

/** @param {{form: NewRunForm, setting: Setting}} props */
function Changed({ form, setting }) {
  return h("li", {},
    h("span", { class: "changed-title" }, setting.title),
    h("span", { class: "changed-value" }, shownValue(form.values.value[setting.name])),
    h("span", { class: "changed-initial" }, `default: ${shownValue(setting.initial)}`),
    !form.fixed(setting.name) && h(ResetButton, { form, setting }));
}

/** All settings beyond the basic ones, by group; a closed group shows what was changed. */

import { h, useState } from "../../lib/preact.js";
import { groupTitle } from "../../lib/settings_schema.js";
import { problemsOf } from "./problems.js";
import { ResetButton, SettingControl, shownValue } from "./setting_control.js";

/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** @param {{form: NewRunForm, settings: readonly Setting[]}} props */
export function Advanced({ form, settings }) {
  const groups = [...new Set(settings.map((setting) => setting.group))];
  const changed = settings.filter((setting) => form.chosen(setting.name)).length;
  return h("section", { class: "advanced", "aria-labelledby": "advanced-title" },
    h("h2", { id: "advanced-title" }, "Advanced ",
      h("span", { class: "advanced-count" }, changed === 0 ? "nothing changed" : `${changed} changed`)),
    groups.map((group) => h(Group, { key: group, form, group,
      settings: settings.filter((one) => one.group === group) })));
}

/** @param {{form: NewRunForm, group: string, settings: readonly Setting[]}} props */
function Group({ form, group, settings }) {
  const [open, setOpen] = useState(false);
  const id = `group-${group || "run"}`;
  const changed = settings.filter((setting) => form.chosen(setting.name));
  // A field with a problem is always there to be corrected.
  const wrong = settings.filter((setting) => problemsOf(form, setting.name).length > 0);
  return h("div", { class: `group${open ? " group-open" : ""}` },
    h("h3", {},
      h("button", { type: "button", class: "group-toggle", "aria-expanded": open ? "true" : "false",
        "aria-controls": id,
        onClick: () => setOpen(!open) },
        h("span", { class: "group-arrow", "aria-hidden": "true" }),
        groupTitle(group),
        h("span", { class: "group-count" }, changed.length > 0 ? `${changed.length} changed` : ""))),
    h("div", { id, class: "group-body" },
      open
        ? h("div", { class: "setting-grid" },
          settings.map((setting) => h(SettingControl, { key: setting.name, form, setting })))
        : [
            changed.length > 0 && h("ul", { key: "changed", class: "changed-list" },
              changed.filter((setting) => !wrong.includes(setting)).map((setting) =>
                h(Changed, { key: setting.name, form, setting }))),
            wrong.length > 0 && h("div", { key: "wrong", class: "setting-grid" },
              wrong.map((setting) => h(SettingControl, { key: setting.name, form, setting }))),
          ]));
}

/** @param {{form: NewRunForm, setting: Setting}} props */
function Changed({ form, setting }) {
  return h("li", {},
    h("span", { class: "changed-title" }, setting.title),
    h("span", { class: "changed-value" }, shownValue(form.values.value[setting.name])),
    h("span", { class: "changed-initial" }, `instead of ${shownValue(setting.initial)}`),
    !form.fixed(setting.name) && h(ResetButton, { form, setting }));
}

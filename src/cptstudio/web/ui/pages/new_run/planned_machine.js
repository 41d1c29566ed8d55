/** Which machine the plan is for: this one, or another one by its name. Start is always here. */

import { h, withValue } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";
import { Field } from "../../components/elements.js";
import { machineProblems } from "./problems.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** @param {{form: NewRunForm}} props */
export function PlannedMachine({ form }) {
  const { data } = useResource("/api/plan/machines");
  const other = form.plan.value?.facts?.machine ?? null;
  return h("div", { class: "plan-machine" },
    h(Field, { label: "Plan for another machine", problems: machineProblems(form),
      hint: other === null
        ? "For example M3 Pro 36 GB, RTX 4090, or 36 GB"
        : "Runs always train on this machine.",
      control: (/** @type {object} */ attributes) => h("input", { ...attributes, type: "text", list: "machines",
        maxLength: 100, autocomplete: "off", value: form.machine.value,
        onInput: withValue((/** @type {string} */ text) => form.planFor(text)) }) }),
    h("datalist", { id: "machines" },
      (data?.machines ?? []).map((/** @type {string} */ name) => h("option", { key: name, value: name }))));
}

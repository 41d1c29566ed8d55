/** The sampler's settings; all of them are in the URL. */
import { Button, Field } from "../../components/elements.js";
import { h, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { textSampling } from "../../lib/sampling.js";
import { inWords, presetOf, PRESETS, problemOf, SEEDS, seedsOf, samplingOf, usualOf } from "./sampling.js";
import { randomSeed } from "./text_card.js";

/** @param {{setting: import("./sampling.js").Setting, kind: "text" | "chat"}} props */
function NumberSetting({ setting, kind }) {
  const usual = usualOf(setting, kind);
  const text = route.value.query[setting.name] ?? "";
  const problem = problemOf(setting, text);
  return h(Field, {
    label: setting.title, unit: setting.unit, hint: setting.help, problems: problem ? [problem] : [],
    control: (attributes) => h("input", {
      ...attributes, type: "text", inputMode: setting.limits.whole ? "numeric" : "decimal", autocomplete: "off",
      value: text,
      placeholder: usual === null ? "all" : String(usual),
      onInput: withValue((text) => setQuery({ [setting.name]: text })),
    }),
  });
}

/** @param {{chat: boolean}} props */
export function SettingsForm({ chat }) {
  const { query } = route.value;
  const sampling = samplingOf(query);
  const seeds = seedsOf(query);
  const kind = chat ? "chat" : "text";
  const preset = presetOf(query);
  const named = preset === "Recommended" ? `Recommended for ${chat ? "chat" : "base"} models` : preset;
  const same = seeds.length > 1 && sampling.temperature === 0;
  return h("details", { class: "sampler" },
    h("summary", {}, h("strong", {}, "Sampling"), " ", h("span", { class: "hint" },
      `${named ? `${named}: ` : ""}${inWords(sampling, seeds.length)}`)),
    h("div", { class: "sampler-body" },
      h("div", { class: "row", role: "group", "aria-label": "Presets" }, PRESETS.map(({ title, hint, values }) =>
        h(Button, { key: title, small: true, title: hint, "aria-pressed": title === preset ? "true" : "false",
          onClick: () => setQuery(values) }, title)),
        h(Button, { small: true, onClick: () => setQuery({ seed: randomSeed() }) }, "New seed")),
      h("div", { class: "sampler-grid" },
        textSampling.value.map((setting) => h(NumberSetting, { key: setting.name, setting, kind })),
        !chat && h(NumberSetting, { key: "seeds", setting: SEEDS, kind }),
        h(Field, {
          label: "Stop sequences",
          hint: "One per line; \\n means a newline. Generation stops before the first match.",
          control: (attributes) => h("textarea", { ...attributes, rows: 2, spellcheck: false, value: query.stop ?? "",
            onInput: withValue((text) => setQuery({ stop: text })) }),
        })),
      same && h("p", { class: "notice" },
        "At temperature 0, every seed gives the same output. Use a temperature above 0.")));
}

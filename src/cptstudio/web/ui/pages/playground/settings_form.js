/** The sampler's settings; all of them are in the URL. */
import { Button, Field } from "../../components/elements.js";
import { h, withValue } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { textSampling } from "../../lib/sampling.js";
import { inWords, PRESETS, problemOf, SEEDS, seedsOf, samplingOf } from "./sampling.js";
import { randomSeed } from "./text_card.js";

/** @param {{setting: import("./sampling.js").Setting}} props */
function NumberSetting({ setting }) {
  const text = route.value.query[setting.name] ?? "";
  const problem = problemOf(setting, text);
  return h(Field, {
    label: setting.title, unit: setting.unit, hint: setting.help, problems: problem ? [problem] : [],
    control: (attributes) => h("input", {
      ...attributes, type: "text", inputMode: setting.limits.whole ? "numeric" : "decimal", autocomplete: "off",
      value: text,
      placeholder: setting.initial === null ? "all" : String(setting.initial),
      onInput: withValue((text) => setQuery({ [setting.name]: text })),
    }),
  });
}

/** @param {{chat: boolean}} props */
export function SettingsForm({ chat }) {
  const { query } = route.value;
  const sampling = samplingOf(query);
  const seeds = seedsOf(query);
  const same = seeds.length > 1 && sampling.temperature === 0;
  return h("details", { class: "sampler" },
    h("summary", {}, h("strong", {}, "Sampling"), " ", h("span", { class: "hint" }, inWords(sampling, seeds.length))),
    h("div", { class: "sampler-body" },
      h("div", { class: "row", role: "group", "aria-label": "Usual ways" }, PRESETS.map((preset) =>
        h(Button, { key: preset.title, small: true, title: preset.hint, onClick: () => setQuery(preset.values) },
          preset.title)),
        h(Button, { small: true, onClick: () => setQuery({ seed: randomSeed() }) }, "New seed")),
      h("div", { class: "sampler-grid" },
        textSampling.value.map((setting) => h(NumberSetting, { key: setting.name, setting })),
        !chat && h(NumberSetting, { key: "seeds", setting: SEEDS }),
        h(Field, {
          label: "Stop at", hint: "A string a line; \\n is a line end. The text ends before the first that comes.",
          control: (attributes) => h("textarea", { ...attributes, rows: 2, spellcheck: false, value: query.stop ?? "",
            onInput: withValue((text) => setQuery({ stop: text })) }),
        })),
      same && h("p", { class: "notice" },
        "With temperature 0 every seed gives the same text: choose a temperature above 0 for a grid of seeds.")));
}

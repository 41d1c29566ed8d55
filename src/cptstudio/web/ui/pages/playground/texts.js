/** All texts side by side: a column for each model, a row for each seed. */
import { Button } from "../../components/elements.js";
import { integer } from "../../lib/format.js";
import { h, withChecked } from "../../lib/preact.js";
import { route, setQuery } from "../../lib/router.js";
import { session } from "./session.js";
import { TextCard } from "./text_card.js";
import { SHADES } from "./visible.js";

/** @param {{label: string, on: boolean, name: string, change: (on: boolean) => void}} props */
function Toggle({ label, on, name, change }) {
  return h("div", { class: "check" },
    h("input", { type: "checkbox", id: `toggle-${name}`, checked: on,
      onChange: withChecked(change) }),
    h("label", { for: `toggle-${name}` }, label));
}

function Legend() {
  return h("p", { class: "legend", "aria-label": "Colors and underlines by probability" },
    SHADES.map((words, index) => h("span", { key: words, class: `legend-item token shade-${index}` }, words)));
}

export function Texts() {
  const texts = session.texts.value;
  const seeds = session.seeds.value;
  if (!texts.length) return null;
  const { query } = route.value;
  const coloured = query.colour === "1";
  const mark = query.departs !== "0";
  const rows = Math.max(1, seeds.length);
  const columns = Math.max(1, Math.floor(texts.length / rows));
  const able = texts.filter((text) => text.version.value >= 0 && text.canContinue);
  return h("section", { class: "texts", "aria-labelledby": "texts-title" },
    h("div", { class: "texts-head" },
      h("h2", { id: "texts-title" }, "Outputs"),
      h(Toggle, { name: "colour", label: "Color by probability", on: coloured,
        change: (on) => setQuery({ colour: on ? "1" : null }) }),
      columns > 1 && h(Toggle, { name: "departs", label: "Mark divergence", on: mark,
        change: (on) => setQuery({ departs: on ? null : "0" }) }),
      texts.length > 1 && h(Button, { small: true, icon: "play", disabled: able.length === 0 || session.busy.value > 0,
        onClick: () => session.goOn(able) },
        `Continue all${able.length && able.length < texts.length ? ` (${able.length})` : ""}`)),
    coloured && h("div", { class: "lane-coloured" }, h(Legend, {})),
    Array.from({ length: rows }, (_, row) => h("div", { key: row, class: "seed-row" },
      rows > 1 && h("h3", { class: "seed-title" }, `Seed ${integer(seeds[row])}`),
      h("div", { class: `columns columns-${columns}` }, Array.from({ length: columns }, (_, column) => {
        const text = texts[column * rows + row];
        return text && h(TextCard, {
          key: `${text.label}-${column}`, text, coloured, mark, baseline: column === 0 ? null : texts[row],
          heading: rows > 1 ? `${text.label}, seed ${seeds[row]}` : text.label,
        });
      })))),
    h("p", { class: "hint" },
      "Hover over a token (or use Tab and arrow keys) to see alternatives."));
}

/** The corpora whose held-out documents are measured. */

import { Problem } from "../../components/elements.js";
import { bytes, integer } from "../../lib/format.js";
import { h } from "../../lib/preact.js";
import { useResource } from "../../lib/resource.js";

/** @returns {{corpora: any[] | null, error: any, reload: () => Promise<void>}} */
export function useCorpora() {
  const { data, error, reload } = useResource("/api/corpora");
  return { corpora: data?.corpora ?? null, error, reload };
}

/**
 * @param {{side: string, chosen: string[], roleOf: (name: string) => string | null,
 *   onChange: (names: string[]) => void}} props
 */
export function CorpusChoice({ side, chosen, roleOf, onChange }) {
  const { corpora, error, reload } = useCorpora();
  if (error !== null) return h(Problem, { error, retry: () => void reload() });
  const toggle = (/** @type {string} */ name) =>
    onChange(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  const about = (/** @type {any} */ corpus) => {
    if (corpus.error !== null) return corpus.error;
    const documents = corpus.documents?.[side] ?? 0;
    return documents === 0 ? `no ${side} documents` : `${integer(documents)} ${side} `
      + `${documents === 1 ? "document" : "documents"}, ${bytes(corpus.text_bytes?.[side])}`;
  };
  return h("fieldset", { class: "choices" },
    h("legend", {}, "Corpora"),
    corpora?.length === 0 && h("p", { class: "hint" }, "No corpora yet. ",
      h("a", { href: "/data?add=1" }, "Add one"), ", or upload a text below."),
    h("ul", { class: "choice-list" }, (corpora ?? []).map((/** @type {any} */ corpus) => h("li", { key: corpus.name },
      h("label", {}, h("input", { type: "checkbox", checked: chosen.includes(corpus.name),
        disabled: corpus.error !== null, onChange: () => toggle(corpus.name) }),
        h("span", { class: "name" }, corpus.name)),
      roleOf(corpus.name) && h("span", { class: "tag" }, roleOf(corpus.name)),
      h("span", { class: "hint" }, about(corpus))))));
}

/** The choice between the two held-out sides. @param {{side: string, onChange: (side: string) => void}} props */
export function SideChoice({ side, onChange }) {
  return h("fieldset", { class: "choices" },
    h("legend", {}, "Split"),
    h("div", { class: "segments" }, ["validation", "test"].map((one) => h("label", { key: one },
      h("input", { type: "radio", name: "side", value: one, checked: side === one, onChange: () => onChange(one) }),
      one))),
    h("p", { class: "hint" }, "Validation is used during training to find the best checkpoint; test is never used."));
}

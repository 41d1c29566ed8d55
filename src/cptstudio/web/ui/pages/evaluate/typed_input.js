/** An input whose text stays as it is typed, whatever is drawn anew around it. */

import { h, useState, withValue } from "../../lib/preact.js";

/**
 * @param {{value: string | number, onText: (text: string) => void, [attribute: string]: any}} props
 * value: what holds, shown while the input has no focus
 */
export function TypedInput({ value, onText, ...attributes }) {
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  const take = withValue((text) => {
    setTyped(text);
    onText(text);
  });
  return h("input", { ...attributes, value: typed ?? value, onInput: take, onBlur: () => setTyped(null) });
}

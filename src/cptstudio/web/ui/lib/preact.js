/** The view library in one import: Preact, its hooks and signals. */
import { useState } from "../vendor/preact-hooks.js";

export { Fragment, h, render } from "../vendor/preact.js";
export {
  useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState,
} from "../vendor/preact-hooks.js";
export { Signal, batch, computed, effect, signal } from "../vendor/signals.js";

let ids = 0;

/** An id for this component's elements; unlike Preact's own it is unique over several roots. */
export function useId() {
  const [id] = useState(() => {
    ids += 1;
    return `id-${ids}`;
  });
  return id;
}

/** A handler that gives on what its control holds. @param {(text: string) => void} give */
export const withValue = (give) => (/** @type {any} */ event) => give(event.currentTarget.value);

/** A handler that gives on whether its box is checked. @param {(checked: boolean) => void} give */
export const withChecked = (give) => (/** @type {any} */ event) => give(event.currentTarget.checked);

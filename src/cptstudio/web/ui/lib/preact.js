/** The view library in one import: Preact, its hooks, htm and signals. */
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";
import { useState } from "../vendor/preact-hooks.js";

export { Component, Fragment, createContext, h, render } from "../vendor/preact.js";
export {
  useCallback,
  useContext,
  useEffect,
  useErrorBoundary,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "../vendor/preact-hooks.js";
export {
  Signal,
  batch,
  computed,
  effect,
  signal,
  untracked,
  useComputed,
  useSignal,
  useSignalEffect,
} from "../vendor/signals.js";

/**
 * Markup as a template, for plain elements; components go through `h`, which is type-checked.
 *
 * @type {(strings: TemplateStringsArray, ...values: any[]) => import("preact").VNode<any>}
 */
export const html = /** @type {any} */ (htm.bind(h));

let ids = 0;

/** An id for this component's elements; unlike Preact's own it is unique over several roots. */
export function useId() {
  const [id] = useState(() => {
    ids += 1;
    return `id-${ids}`;
  });
  return id;
}

/** The view library in one import: Preact, its hooks and signals. */
import { useState } from "../vendor/preact-hooks.js";

export { Component, Fragment, createContext, h, render } from "../vendor/preact.js";
export {
  useCallback, useContext, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/preact-hooks.js";
export {
  Signal, batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect,
} from "../vendor/signals.js";

let ids = 0;

/** An id for this component's elements; unlike Preact's own it is unique over several roots. */
export function useId() {
  const [id] = useState(() => {
    ids += 1;
    return `id-${ids}`;
  });
  return id;
}

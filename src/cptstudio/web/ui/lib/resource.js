/** What a component asks the server: a resource, one request at a time, and work that a button begins. */
import { get } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./preact.js";

/**
 * @param {string | null} path null: nothing is fetched
 * @param {Record<string, any>=} query
 * @param {any=} again fetched again when this changes; what is shown stays meanwhile
 * @returns {{data: any, error: any, loading: boolean, reload: () => Promise<void>}}
 */
export function useResource(path, query, again) {
  const key = path && JSON.stringify([path, query]);
  const [state, setState] = useState({ key: /** @type {string | null} */ (null), data: /** @type {any} */ (null),
    error: /** @type {any} */ (null), loading: true });
  const busy = useRef({ running: false, again: false, key: /** @type {string | null} */ (null) });
  const load = useCallback(async () => {
    const flags = busy.current;
    if (!path) return;
    if (flags.running && flags.key === key) {
      flags.again = true;
      return;
    }
    flags.key = key;
    flags.running = true;
    do {
      flags.again = false;
      try {
        const data = await get(path, query);
        if (flags.key === key) setState({ key, data, error: null, loading: false });
      } catch (error) {
        if (flags.key === key) {
          setState((before) => ({ key, data: before.key === key ? before.data : null, error, loading: false }));
        }
      }
    } while (flags.again && flags.key === key);
    if (flags.key === key) flags.running = false;
  }, [key]);
  useEffect(() => {
    void load();
  }, [key, again]);
  useEffect(() => () => { busy.current.key = null; }, []);
  const current = state.key === key;
  return { data: current ? state.data : null, error: current ? state.error : null,
    loading: current ? state.loading : true, reload: load };
}

/** Work that a button begins: whether it is under way, and why it failed. */
export function useWork() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const run = async (/** @type {() => Promise<any>} */ work) => {
    setBusy(true);
    setError(null);
    await work().catch(setError);
    setBusy(false);
  };
  return { busy, error, run };
}

/** A GET resource in a component: loaded, loaded again on demand, one request at a time. */
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

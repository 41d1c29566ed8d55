/** Which ways of training fit, asked for one model after the other: the first time, its network has to be read. */

import { get } from "../../lib/api.js";
import { signal, useEffect } from "../../lib/preact.js";

/** @typedef {import("../../components/way_fits.js").Fits} Fits */

/** By the model's id, for as long as the page is open; null where it could not be told. */
const known = signal(/** @type {{[id: string]: Fits|null}} */ ({}));

/**
 * @param {readonly {id: string}[]} models in the order that they are asked about
 * @returns {{[id: string]: Fits|null}}
 */
export function useModelFits(models) {
  const ids = models.map((model) => model.id).join("\n");
  useEffect(() => {
    let left = false;
    void (async () => {
      for (const { id } of models) {
        if (left) return;
        if (id in known.peek()) continue;
        const fits = await get("/api/models/fits", { id }).then((answer) => answer.fits, () => null);
        known.value = { ...known.peek(), [id]: fits };
      }
    })();
    return () => {
      left = true;
    };
  }, [ids]);
  return known.value;
}

/** Points that are being saved as models, by the job that does it: what the page says when it is done. */

import { signal } from "../../lib/preact.js";

/** The model's name by the job's id. */
export const saves = signal(/** @type {Record<string, string>} */ ({}));

/** Names of the models that were saved since the page was loaded, the newest first. */
export const savedModels = signal(/** @type {string[]} */ ([]));

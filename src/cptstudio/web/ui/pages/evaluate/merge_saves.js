/** Points that are being saved as models, by the job that does it: what the page says when it is done. */

import { toast } from "../../components/announce.js";
import { Icon } from "../../components/elements.js";
import { modelsToQuery } from "../../components/model_choice.js";
import { h, signal } from "../../lib/preact.js";
import { openReportOf, reportsChanged } from "./reports.js";

/** The model's name by the job's id. */
export const saves = signal(/** @type {Record<string, string>} */ ({}));

/** Names of the models that were saved since the page was loaded, the newest first. */
const savedModels = signal(/** @type {string[]} */ ([]));

/** What is done when a job ends that made sums of models. @param {any} job */
export function madeOrSaved(job) {
  const name = saves.value[job.id];
  if (name === undefined) {
    openReportOf(job);
    return;
  }
  reportsChanged.value += 1;
  savedModels.value = [name, ...savedModels.value];
  toast(`Model “${name}” saved.`);
}

export function SavedModels() {
  return savedModels.value.map((name) => h("div", { class: "notice", key: name, role: "status" },
    h(Icon, { name: "check" }),
    h("p", {}, "Saved ", h("b", { class: "break" }, name), ". ",
      h("a", { href: `/playground?models=${encodeURIComponent(modelsToQuery([name]))}` }, "Open in Playground"), ".")));
}

/** When the models may be others than they were. */

import { isEnded } from "../../lib/jobs.js";
import { jobs, runsChanged } from "../../lib/live.js";

/** Another text each time a run changed or a job ended: a download, a merge, an export. */
export const modelsChanged = () =>
  `${runsChanged.value.count} ${Object.values(jobs.value).filter(isEnded).map((job) => job.id).join(" ")}`;

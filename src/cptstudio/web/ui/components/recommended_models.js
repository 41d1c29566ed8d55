/** Base models to begin with, each with what training it takes here and whether that fits. */

import { post } from "../lib/api.js";
import { bytes, count, integer } from "../lib/format.js";
import { isEnded, noteJob, useJob } from "../lib/jobs.js";
import { jobs } from "../lib/live.js";
import { Fragment, h, useState } from "../lib/preact.js";
import { useResource, useWork } from "../lib/resource.js";
import { announce } from "./announce.js";
import { Badge, Button, Problem } from "./elements.js";
import { JobProgress } from "./progress.js";

/** @typedef {{needed: number, checkpointing: number, fit: "good"|"tight"|"none"}} WayFit */
/**
 * @typedef {object} Recommended
 * @property {string} id
 * @property {string} title
 * @property {string} use
 * @property {string} license
 * @property {boolean} gated
 * @property {string} source
 * @property {number} parameters
 * @property {number} bytes
 * @property {number} packed_bytes
 * @property {string|null} there its id on this machine
 * @property {{[way: string]: WayFit}|null} fits
 */

const WAYS = new Map([["full", "Full"], ["lora", "LoRA"], ["qlora", "QLoRA (4-bit)"]]);
/** @type {{[fit: string]: {tone: "good"|"warn"|"bad", icon: string, words: string}}} */
const FITS = {
  good: { tone: "good", icon: "check", words: "Good fit" },
  tight: { tone: "warn", icon: "alert", words: "Tight fit" },
  none: { tone: "bad", icon: "close", words: "Won't fit" },
};
const FEW = 6;

/**
 * @param {{arrived?: (id: string) => void}} props arrived: called with the model's id when a download is done
 */
export function RecommendedModels({ arrived }) {
  const { data, error, reload } = useResource("/api/models/recommended");
  const [all, setAll] = useState(false);
  if (error !== null) return h(Problem, { error, retry: reload });
  if (data === null) return h("p", { class: "muted", "aria-busy": "true" }, "Loading…");
  const models = /** @type {Recommended[]} */ (data.models);
  const fitting = models.filter(({ fits }) => fits === null || Object.values(fits).some(({ fit }) => fit !== "none"));
  // What fits a GPU is worth its time up to the largest; a CPU is slow long before its memory is full.
  const few = data.accelerator === "cpu" ? fitting.slice(0, FEW) : fitting.slice(-FEW);
  const shown = all ? models : few.length > 0 ? few : models.slice(0, FEW);
  return h("div", { class: "recommended" },
    h("p", { class: "hint" }, data.room === null
      ? "MLX doesn't report this machine's memory, so fit is unknown."
      : `Memory for batch size 1 and a sequence length of ${integer(data.sequence)}, with gradient checkpointing. Runs `
        + `on this machine can use ${bytes(data.room)} of ${bytes(data.available)}.`,
    " Nothing is downloaded until you click Download; models come from huggingface.co.",
    data.offline ? " This server is in offline mode." : ""),
    h("ul", { class: "recommended-cards", "aria-label": "Recommended base models" }, shown.map((model) =>
      h(ModelCard, { key: model.id, model, offline: data.offline, done: (id) => {
        void reload();
        arrived?.(id);
      } }))),
    shown.length < models.length && h("p", {},
      h(Button, { onClick: () => setAll(true) }, `Show all ${integer(models.length)} models`)));
}

/** @param {{model: Recommended, offline: boolean, done: (id: string) => void}} props */
function ModelCard({ model, offline, done }) {
  const { busy, error, run } = useWork();
  const found = Object.values(jobs.value).filter((job) => job.kind === "download" && job.about === model.id)
    .sort((one, other) => other.created - one.created)[0] ?? null;
  const job = useJob(found, (ended) => {
    if (ended.state !== "done") return;
    announce(`${model.title} downloaded.`);
    done(String(ended.result?.id ?? model.id));
  });
  const download = () => run(async () => noteJob(await post("/api/models/download", { id: model.id, revision: null })));
  const active = job !== null && !isEnded(job);
  const id = `recommended-${model.id.replaceAll(/[^A-Za-z0-9]/g, "-")}`;
  return h("li", { class: "recommended-card", "aria-labelledby": id },
    h("div", { class: "recommended-head" },
      h("h3", { id }, model.title),
      h("span", { class: "hint figures" }, `${count(model.parameters)} parameters`)),
    h("p", {}, model.use),
    model.fits !== null && h(Ways, { fits: model.fits }),
    h("p", { class: "hint" }, `${bytes(model.bytes)} download · ${model.license}`,
      model.gated ? " · accept the license on huggingface.co first" : ""),
    error !== null && h(Problem, { error }),
    job !== null && job.state !== "done" && h(JobProgress, { job }),
    h("div", { class: "recommended-actions" }, model.there !== null
      ? h(Fragment, {}, h(Badge, { tone: "good", icon: "check" }, "On this machine"),
        h(Button, { small: true, href: `/new?${new URLSearchParams({ model: model.there })}` }, "Train"))
      : h(Button, { small: true, icon: "download", busy: busy || active, disabled: offline,
        "aria-label": `Download ${model.id}`, onClick: download },
      job?.state === "failed" || job?.state === "cancelled" ? "Resume download" : "Download"),
    h("span", { class: "recommended-id hint" }, model.id)));
}

/** @param {{fits: {[way: string]: WayFit}}} props */
function Ways({ fits }) {
  return h("dl", { class: "recommended-ways" }, [...WAYS].map(([way, title]) => {
    const one = fits[way];
    if (one === undefined) return null;
    const { tone, icon, words } = FITS[one.fit] ?? { tone: "bad", icon: "close", words: one.fit };
    return h("div", { key: way },
      h("dt", {}, title),
      h("dd", { class: "figures" }, bytes(one.checkpointing)),
      h("dd", {}, h(Badge, { tone, icon, title: {
        good: `Also fits without gradient checkpointing (${bytes(one.needed)}).`,
        tight: `Fits only with gradient checkpointing; ${bytes(one.needed)} without.`,
      }[/** @type {string} */ (one.fit)] }, words)));
  }));
}

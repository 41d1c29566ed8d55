/** A model from the Hugging Face hub: asked for by the user, and only then. */

import { get, post } from "../lib/api.js";
import { ago, count } from "../lib/format.js";
import { h, useState, withValue } from "../lib/preact.js";
import { useWork } from "../lib/resource.js";
import { announce } from "./announce.js";
import { Badge, Button, Problem } from "./elements.js";
import { HubCard } from "./hub_card.js";
import { JobProgress } from "./progress.js";
import { jobs } from "../lib/live.js";
import { isEnded, useJob } from "../lib/jobs.js";

/** @typedef {{id: string, error: string|null, origin?: {id: string}|null}} Known what lies on this machine */

const HUB_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * @param {{known: readonly Known[], arrived: (id: string) => void, open?: boolean}} props arrived: a download has ended
 *   well; open: unfolded from the start
 */
export function ModelDownload({ known, arrived, open = false }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState(/** @type {any[]|null} */ (null));
  const { busy, error, run } = useWork();
  const [started, setStarted] = useState(/** @type {any} */ (null));
  // A download that began before the page was loaded is followed too.
  const underWay = Object.values(jobs.value).find((one) => one.kind === "download" && !isEnded(one)) ?? null;
  const job = useJob(started ?? underWay, (ended) => {
    if (ended.state !== "done") return;
    announce(`${ended.about ?? "Model"} downloaded.`);
    arrived(String(ended.result?.id ?? ended.about ?? ""));
  });
  const id = text.trim();
  const isId = HUB_ID.test(id);
  const present = known.some((model) => model.error === null && (model.id === id || model.origin?.id === id));

  const search = () => run(async () => setFound((await get("/api/models/hub", { query: id })).models));
  const download = (/** @type {string} */ wanted) => run(async () => {
    setStarted(await post("/api/models/download", { id: wanted, revision: null }));
    setFound(null);
  });
  return h("details", { class: "model-other", open },
    h("summary", {}, "Download a model"),
    h("div", { class: "model-other-body" },
      h("label", { for: "hub-text" }, "Hugging Face model ID or search terms"),
      h("div", { class: "setting-pair hub-search" },
        h("input", { id: "hub-text", type: "text", autocomplete: "off", spellcheck: false, value: text,
          placeholder: "organization/model",
          "aria-describedby": "hub-help",
          onInput: withValue(setText),
          onKeyDown: (/** @type {KeyboardEvent} */ event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            if (id !== "") void search();
          } }),
        h(Button, { disabled: id === "", busy, onClick: search }, "Search Hugging Face"),
        h(Button, { disabled: !isId || present, onClick: () => download(id) }, "Download")),
      h("p", { id: "hub-help", class: "hint" },
        present
          ? "This model is already on this machine."
          : !isId
            && "Connects to huggingface.co. To download, enter a full ID such as org/model."),
      error !== null && h(Problem, { error }),
      job !== null && h(JobProgress, { job }, (job.state === "failed" || job.state === "cancelled") && job.about &&
        h(Button, { small: true, onClick: () => download(job.about) },
          job.state === "failed" ? "Try again" : "Resume download")),
      found !== null && h(Found, { found, download })));
}

/** @param {{found: readonly any[], download: (id: string) => void}} props */
function Found({ found, download }) {
  const [shown, show] = useState(/** @type {string|null} */ (null));
  if (found.length === 0) return h("p", { role: "status" }, "No models found.");
  return [
    h("ul", { key: "found", class: "hub-found", "aria-label": "Search results" }, found.map((one) =>
      h("li", { key: one.id },
        h("span", { class: "model-name" }, one.id, one.gated && h(Badge, { tone: "warn" }, "Gated")),
        h("span", { class: "model-facts" }, hubFacts(one)),
        h("span", { class: "hub-actions" },
          h(Button, { small: true, "aria-label": `Model card of ${one.id}`, onClick: () => show(one.id) }, "Card"),
          h(Button, { small: true, disabled: one.there,
            "aria-label": one.there ? `Already on this machine: ${one.id}` : `Download ${one.id}`,
            onClick: () => download(one.id) }, one.there ? "On this machine" : "Download"))))),
    shown !== null && h(HubCard, { key: "card", id: shown, kind: "model", close: () => show(null) }),
  ];
}

/** What a search says of a model or dataset. @param {any} one */
export function hubFacts(one) {
  return [
    one.downloads == null ? "" : `${count(one.downloads)} ${one.downloads === 1 ? "download" : "downloads"}`,
    one.likes == null ? "" : `${count(one.likes)} ${one.likes === 1 ? "like" : "likes"}`,
    one.updated == null ? "" : `updated ${ago(one.updated)}`,
  ].filter(Boolean).join(" · ");
}

/** Tokens that a corpus lacks for the chosen model: made at a button's press, without leaving the form. */

import { post } from "../../lib/api.js";
import { h, useState } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { announce } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { JobProgress } from "../../components/progress.js";
import { jobs } from "../../lib/live.js";
import { isEnded, noteJob, useJob } from "../../lib/jobs.js";

/** @typedef {import("./form.js").NewRunForm} NewRunForm */

/** @param {{form: NewRunForm, made: () => void}} props made: a corpus has new tokens */
export function Tokenize({ form, made }) {
  const missing = form.plan.value?.untokenized ?? [];
  return missing.map((name) => h(TokenizeOne, { key: name, form, name, made }));
}

/** @param {{form: NewRunForm, name: string, made: () => void}} props */
function TokenizeOne({ form, name, made }) {
  const { busy, error, run } = useWork();
  const [started, setStarted] = useState(/** @type {any} */ (null));
  const underWay = Object.values(jobs.value).find((one) =>
    one.on === "corpus" && one.about === name && !isEnded(one)) ?? null;
  const job = useJob(started ?? underWay, (ended) => {
    if (ended.state !== "done") return;
    announce(`“${name}” was tokenized.`);
    made();
    form.ask(0);
  });
  const model = String(form.values.value["model.path"] ?? "");
  const begin = () => run(async () => {
    const begun = await post("/api/corpora", { name, sources: [], model });
    noteJob(begun);
    setStarted(begun);
  });
  return h("div", { class: "tokenize" },
    (job === null || isEnded(job)) && h("p", {}, h(
      "strong", {}, name), ` isn't tokenized for ${shortName(model)} yet. `,
      h(Button, { small: true, busy, onClick: begin }, `Tokenize ${name}`)),
    job !== null && job.state !== "done" && h(JobProgress, { job }),
    error !== null && h(Problem, { error }));
}

/** @param {string} path */
const shortName = (path) => path.replace(/\/+$/, "").split("/").pop() ?? path;

/** What happened to a run that memory, the watchdog or the system ended, and what to do, at a press. */
import { toast } from "../../components/announce.js";
import { Button, Problem } from "../../components/elements.js";
import { startAsking } from "../../components/start_asking.js";
import { status } from "../../lib/live.js";
import { h } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { navigate } from "../../lib/router.js";

/** @type {Record<string, string>} */
const HEADINGS = {
  memory: "Out of memory",
  watchdog: "The GPU watchdog stopped the run: one computation took too long",
  outside: "The run was stopped from outside CPT Studio",
};

/** @param {{run: any, changed: (change?: any) => void}} props */
export function Remedies({ run, changed }) {
  const { busy, error, run: work } = useWork();
  if (!run.remedies?.length || run.queue_position != null) return null;
  const queue = (status.value?.active || []).some((/** @type {any} */ one) => one.id !== run.id);
  const wanted = queue ? " Another run is training, so it will be queued." : "";
  const apply = (/** @type {any} */ remedy) => work(async () => {
    if (remedy.session === null) {
      const made = await startAsking(`/api/runs/${run.id}/fork`,
        { checkpoint: null, name: freeName(run.id), changes: remedy.changes, queue });
      if (made) navigate(`/runs/${made.id}`);
      return;
    }
    const answer = await startAsking(`/api/runs/${run.id}/resume`,
      { checkpoint: null, confirmed: true, queue, session: remedy.session });
    if (!answer) return;
    toast(queue ? `“${run.id}” was added to the queue.` : `“${run.id}” is resuming.`);
    changed(answer);
  });
  return h("div", { class: "notice notice-warn", role: "region", "aria-label": "Suggested fixes" },
    h("div", { class: "stack" },
      h("h2", {}, HEADINGS[run.state.cause] ?? "The run ended"),
      run.remedies.map((/** @type {any} */ remedy, /** @type {number} */ at) => h("div", { key: remedy.title },
        h("p", {}, remedy.text, wanted),
        h(Button, { kind: at === 0 ? "primary" : "plain", icon: remedy.session === null ? "fork" : "resume", busy,
          onClick: () => apply(remedy) }, remedy.title))),
      error && h(Problem, { error })));
}

/** @param {string} id */
const freeName = (id) => `${id.slice(0, 57)}-short`;

/** One run: is it alive, is it improving, when is it done, will memory hold. */
import { announce } from "../components/announce.js";
import { Problem, stateWords } from "../components/elements.js";
import { Tabs } from "../components/tabs.js";
import { runsChanged, status, watchRun } from "../lib/live.js";
import { h, useEffect, useRef, useState } from "../lib/preact.js";
import { useResource } from "../lib/resource.js";
import { route, setQuery } from "../lib/router.js";
import { RunSeries } from "../lib/run_series.js";
import { nameOf } from "../lib/run_words.js";
import { RunActions } from "./run/actions.js";
import { chartQuery, RunCharts } from "./run/charts.js";
import { Checkpoints } from "./run/checkpoints.js";
import { Configuration } from "./run/configuration.js";
import { RunHeader } from "./run/header.js";
import { Log } from "./run/log.js";
import { Notes } from "./run/notes.js";
import { Remedies } from "./run/remedies.js";
import { Samples } from "./run/samples.js";
import { System } from "./run/system.js";
import { Events } from "./run/events.js";

const MOST_BUCKETS = 1000;
const LEAST_BUCKETS = 300;

/** As many points as the page is wide, up to what the eye can tell apart. */
const bucketsHere = () => Math.min(MOST_BUCKETS,
  Math.max(LEAST_BUCKETS, Math.round(document.documentElement.clientWidth)));

/** What a train row says about the run's present state. @param {any} run @param {any[]} rows */
function advanced(run, rows) {
  const next = { ...run };
  for (const row of rows) {
    if (row.kind === "train") {
      next.step = row.step ?? next.step;
      next.loss = typeof row.loss === "number" ? row.loss : next.loss;
      next.tokens_seen = row.tokens_seen ?? next.tokens_seen;
      next.memory_process = row.memory_process ?? next.memory_process;
    }
  }
  return next;
}

/** What the curves need to know of a run that is not loaded yet. */
const UNKNOWN = { id: "run", state: { alive: false } };

/** @param {{id: string}} props */
function RunPage({ id }) {
  const [series] = useState(() => new RunSeries(id));
  const [turn, setTurn] = useState(0);
  const [live, setLive] = useState(/** @type {any} */ ({}));
  const [gone, setGone] = useState(false);
  const [dialog, setDialog] = useState(/** @type {{kind: string, checkpoint?: string} | null} */ (null));
  const { changed } = runsChanged.value;
  const concerned = useRef(0);
  if (changed.length === 0 || changed.includes(id)) concerned.current = runsChanged.value.count;
  const { data, error, reload } = useResource(`/api/runs/${id}`, undefined, `${concerned.current} ${turn}`);
  const again = () => setTurn((value) => value + 1);
  const newest = useRef(data);
  newest.current = data;

  useEffect(() => {
    const { x, from, to, smoothing } = chartQuery();
    series.view = { x, from, to, smoothing, buckets: bucketsHere() };
    const stop = watchRun(id, {
      position: () => series.position,
      reload: () => series.load(),
      rows: (rows) => {
        series.add(rows);
        setLive((/** @type {any} */ before) => advanced(before, rows));
        if (rows.some((row) => row.kind === "evaluation")) again();
      },
      events: again,
      state: (state) => {
        const known = newest.current?.state;
        if (!known || known.text !== state.text || known.reason !== state.reason) again();
      },
      phase: (phase) => {
        setLive((/** @type {any} */ before) => ({ ...before, phase }));
        const former = newest.current?.phase;
        // What each one took is told by the server.
        if (phase?.name !== former?.name && (former?.preparing || phase?.preparing)) again();
      },
      gone: () => setGone(true),
    });
    return () => {
      stop();
      series.stop();
    };
  }, []);
  // What the socket told of the phase is never older than what was fetched: it tells each change.
  useEffect(() => setLive((/** @type {any} */ { phase }) => (phase === undefined ? {} : { phase })), [data]);

  const state = data?.state;
  const words = state ? stateWords(state).words : "";
  const said = useRef("");
  useEffect(() => {
    if (said.current && words && said.current !== words) announce(`${id}: ${words}.`);
    said.current = words || said.current;
  }, [words]);
  const total = live.planned_steps ?? data?.planned_steps;
  const done = state?.alive && total ? `${Math.floor((100 * (live.step ?? data.step ?? 0)) / total)}% ` : "";
  const doing = state?.alive ? (live.phase ?? data.phase)?.title ?? words : words;
  useEffect(() => {
    document.title = `${done}${id}${doing ? ` · ${doing}` : ""} · CPT Studio`;
  }, [done, doing]);

  const nothing = gone || error?.status === 404;
  if (nothing) {
    return h("div", { class: "stack" }, h("h1", {}, id),
      h("p", {}, "Run not found. It may have been deleted or moved."),
      h("p", {}, h("a", { href: "/runs" }, "Go to Runs")));
  }
  if (!data) {
    // The curves are there first where the run's other files take longer to read.
    return [
      h("div", { class: "stack run-head-loading", key: "head" }, h("h1", {}, id),
        error ? h(Problem, { error, retry: reload }) : h("p", { class: "muted", "aria-busy": "true" },
          "Loading…")),
      h(Curves, { series, run: UNKNOWN, key: "charts" }),
    ];
  }
  const short = (status.value?.active || []).find((/** @type {any} */ one) => one.id === id);
  const run = { ...data, ...(data.state.alive && short
    ? { remaining_seconds: short.remaining_seconds, tokens_per_second: short.tokens_per_second }
    : {}), ...live };
  return [
    h(RunHeader, { key: "head", run, actions: h(RunActions, { run, changed: again, dialog, setDialog }) }),
    h(Remedies, { key: "remedies", run, changed: again }),
    error && h(Problem, { key: "error", error, retry: reload }),
    h(Curves, { series, run, key: "charts" }),
    run.kind === "run" && run.state.name !== "prepared" && h(System, { run, key: "system" }),
    h(RunTabs, { key: "tabs", run, again: `${turn} ${concerned.current}`, changed: again, setDialog }),
  ];
}

/** @param {{series: RunSeries, run: any}} props */
function Curves({ series, run }) {
  if (series.version.value) return h(RunCharts, { series, run });
  if (series.error.value) {
    return h(Problem, { error: series.error.value, retry: () => void series.load().catch(() => undefined) });
  }
  return h("div", { class: "charts" }, h("div", { class: "chart chart-large" },
    h("p", { class: "chart-empty", "aria-busy": "true" }, "Loading…")));
}

/**
 * @param {{run: any, again: any, changed: () => void,
 *   setDialog: (dialog: {kind: string, checkpoint?: string} | null) => void}} props
 */
function RunTabs({ run, again, changed, setDialog }) {
  const ours = run.kind === "run";
  const tabs = [
    ours && { id: "checkpoints", title: "Checkpoints", count: run.checkpoints.length },
    ours && { id: "samples", title: "Samples" },
    { id: "events", title: "Events" },
    ours && { id: "configuration", title: "Configuration" },
    ours && { id: "log", title: "Log" },
    ours && { id: "notes", title: "Notes" },
  ].filter((tab) => tab !== false);
  const wanted = route.value.query.tab;
  const chosen = tabs.some((tab) => tab.id === wanted) ? wanted : tabs[0].id;
  /** @type {Record<string, () => any>} */
  const contents = {
    checkpoints: () => h(Checkpoints, { run, setDialog }),
    samples: () => h(Samples, { run, again }),
    events: () => h(Events, { run, again }),
    configuration: () => h(Configuration, { run }),
    log: () => h(Log, { run }),
    notes: () => h(Notes, { run, changed }),
  };
  return h("div", { class: "card" }, h(Tabs, { label: `About ${nameOf(run)}`, tabs, chosen,
    onChoose: (tab) => setQuery({ tab: tab === tabs[0].id ? null : tab }) }, contents[chosen]()));
}

export default function Run() {
  const id = route.value.path.slice("/runs/".length);
  return h(RunPage, { id, key: id });
}

/**
 * Live news over Socket.IO: what the status bar shows, jobs, and the rows of the run that is open.
 *
 * The socket only tells. What a page lacks (at the start, after a gap, after a reconnect) it
 * fetches by HTTP from its own position on, so no row is lost and none is applied twice.
 */
import { io } from "../vendor/socket.io-client.js";
import { ApiError, get } from "./api.js";
import { effect, signal } from "./preact.js";
import { distrust, secretHeader, session, socketProtocols, trusted } from "./session.js";

/** @typedef {Record<string, any>} Row */
/**
 * @typedef {{state: "live" | "reconnecting" | "offline",
 *   since: number}} Connection since: Unix seconds of the last news
 */
/** @typedef {{boot_id: string, generation: any, after: number}} Position where a page is in a run's rows */
/**
 * What a page does with the news of a run.
 * @typedef {object} RunHandler
 * @property {() => Position | null} position where the page is; null while it has loaded nothing
 * @property {(rows: Row[]) => void} rows new current rows, in order, each exactly once
 * @property {() => Promise<void>} reload the history was replaced: load it again and move `position`
 * @property {((events: Row[]) => void)=} events new lines of the run's events
 * @property {((state: any) => void)=} state the run's state changed
 * @property {((phase: any) => void)=} phase what the trainer does changed, or how far it is; null: no trainer lives
 * @property {(() => void)=} gone the run exists no more
 */

const ACK_MS = 8000;
const PAGE_ROWS = 2000;
const MOST_RELOADS = 3;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4000;

/** Whether the page is live. */
export const connection = signal(/** @type {Connection} */ ({ state: "reconnecting", since: 0 }));

/** The last /api/status or "status" push; null before the first. */
export const status = signal(/** @type {any} */ (null));

/** Jobs by id. */
export const jobs = signal(/** @type {Record<string, any>} */ ({}));

/** Counts up whenever runs came, went or changed: a list that depends on them fetches again. */
export const runsChanged = signal({ count: 0, changed: /** @type {string[]} */ ([]) });

/** Counts up when programs of others came or went. */
export const externalChanged = signal(0);

/** Counts up when the inference worker started, ended, loaded or unloaded, or may have done so unseen. */
export const inferenceChanged = signal(0);

/** @type {ReturnType<typeof io> | null} */
let socket = null;
/** @type {Map<string, Set<Follower>>} */
const followers = new Map();

const now = () => Date.now() / 1000;

/** @param {Connection["state"]} state */
function connectionIs(state) {
  const since = state === "live" ? now() : connection.value.since;
  if (connection.value.state !== state) connection.value = { state, since };
}

/** @param {any} news */
function takeStatus(news) {
  const before = status.value?.boot_id ?? news.boot_id;
  status.value = { ...status.value, ...news };
  if (!news.jobs) return;
  const restarted = status.value.boot_id !== before;
  // Work ends with its server. The next one knows nothing of it, so it stays until it is put away here.
  const lost = Object.values(jobs.peek()).flatMap((job) => job.lost ? [job]
    : restarted && ["waiting", "running"].includes(job.state)
      ? [{ ...job, lost: true, state: "failed", error: "The server stopped before this finished. Try again." }]
      : []);
  jobs.value = Object.fromEntries([...lost, ...news.jobs].map((job) => [job.id, job]));
}

async function fetchStatus() {
  try {
    takeStatus(await get("/api/status"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Connect, whenever the session is open; the shell calls it once. */
export function startLive() {
  if (socket) return;
  // Socket.IO would try again by itself, and send the secret to whoever listens then.
  socket = io({ transports: ["websocket", "polling"], autoConnect: false, reconnection: false });
  let connectedBefore = false;
  socket.on("connect", () => {
    pause = FIRST_PAUSE_MS;
    connectionIs("live");
    void fetchStatus();
    if (connectedBefore) {
      runsChanged.value = { count: runsChanged.value.count + 1, changed: [] };
      inferenceChanged.value += 1;
    }
    connectedBefore = true;
    for (const follower of allFollowers()) follower.join();
  });
  socket.on("disconnect", () => {
    distrust();
    connecting = false;
    connection.value = { state: "reconnecting", since: now() };
    void connect();
  });
  socket.on("connect_error", () => {
    distrust();
    setTimeout(() => {
      connecting = false;
      void connect();
    }, nextPause());
  });
  socket.on("status", takeStatus);
  socket.on("runs", (news) => {
    runsChanged.value = { count: runsChanged.value.count + 1, changed: news?.changed || [] };
  });
  socket.on("job", (job) => {
    jobs.value = { ...jobs.value, [job.id]: job };
  });
  socket.on("external", () => {
    externalChanged.value += 1;
  });
  socket.on("inference", () => {
    inferenceChanged.value += 1;
  });
  socket.on("update", (update, acknowledge) => {
    const waiting = [...(followers.get(update.run) || [])].map((follower) => follower.take(update));
    // The acknowledgement asks for the next one, so a page that is busy is not flooded.
    void Promise.allSettled(waiting).then(() => acknowledge?.());
  });
  effect(() => {
    if (session.value === "open") void connect();
  });
}

let pause = FIRST_PAUSE_MS;
/** From the first try until the connection is lost again. */
let connecting = false;

function nextPause() {
  const now = pause;
  pause = Math.min(LONGEST_PAUSE_MS, 2 * pause);
  return now;
}

/** Connect to our server, and to no other program: try until it answers, or the session has ended. */
async function connect() {
  if (!socket || connecting) return;
  connecting = true;
  while (session.value === "open") {
    try {
      await trusted();
      Object.assign(socket.io.opts, { extraHeaders: secretHeader(), protocols: socketProtocols() });
      // What comes of it, the events tell.
      socket.connect();
      return;
    } catch {
      connectionIs("offline");
    }
    await new Promise((resolve) => setTimeout(resolve, nextPause()));
  }
  connecting = false;
}

function allFollowers() {
  return [...followers.values()].flatMap((set) => [...set]);
}

/** One page's position in one run, kept in order. */
class Follower {
  /** @param {string} run @param {RunHandler} handler */
  constructor(run, handler) {
    this.run = run;
    this.handler = handler;
    this.stopped = false;
    /** @type {Promise<void>} */
    this.last = Promise.resolve();
  }

  /** Everything about a run happens one after the other. @param {() => Promise<void>} work */
  inOrder(work) {
    this.last = this.last
      .then(() => (this.stopped ? undefined : work()))
      .catch((error) => {
        if (error instanceof ApiError && error.status === 404) {
          this.handler.gone?.();
        } else if (!(error instanceof ApiError)) {
          console.error(error);
        }
      });
    return this.last;
  }

  join() {
    return this.inOrder(async () => {
      if (!this.handler.position()) await this.handler.reload();
      const after = this.handler.position()?.after ?? 0;
      if (!socket?.connected) return;
      let answer;
      try {
        answer = await socket.timeout(ACK_MS).emitWithAck("watch", { run: this.run, after });
      } catch {
        return; // The connection broke; the next one joins again.
      }
      if (answer.error) {
        // Whether the run is gone, HTTP says: it answers 404 then.
        await get(`/api/runs/${this.run}/rows`, { after, limit: 1 });
        return;
      }
      if (!this.same(answer)) await this.handler.reload();
      await this.catchUp(answer.last_seq);
    });
  }

  /** @param {any} update */
  take(update) {
    return this.inOrder(async () => {
      if (!this.same(update)) {
        await this.handler.reload();
        await this.catchUp(update.seq);
      } else if (update.behind || update.after > (this.handler.position()?.after ?? 0)) {
        await this.catchUp(update.seq);
      } else {
        this.apply(update.rows);
      }
      if (update.events?.length) this.handler.events?.(update.events);
      if (update.state) this.handler.state?.(update.state);
      if ("phase" in update) this.handler.phase?.(update.phase);
    });
  }

  /** @param {{boot_id: string, generation: any}} other */
  same(other) {
    const mine = this.handler.position();
    return mine !== null && mine.boot_id === other.boot_id && mine.generation === other.generation;
  }

  /** Rows that are not here yet. @param {Row[]} rows */
  apply(rows) {
    const after = this.handler.position()?.after ?? 0;
    const fresh = rows.filter((row) => row.seq > after);
    if (fresh.length) this.handler.rows(fresh);
  }

  /** Fetch what is missing. @param {number} wanted the last seq that is known to exist */
  async catchUp(wanted) {
    let reloads = 0;
    for (;;) {
      const after = this.handler.position()?.after ?? 0;
      if (this.stopped || after >= wanted) return;
      const page = await get(`/api/runs/${this.run}/rows`, { after, limit: PAGE_ROWS });
      if (!this.same(page)) {
        reloads += 1;
        if (reloads > MOST_RELOADS) return;
        await this.handler.reload();
        continue;
      }
      this.apply(page.rows);
      if (!page.more) return;
    }
  }
}

/**
 * Follow a run: the handler gets every row exactly once, in order, across disconnects and
 * restarts of the server.
 *
 * @param {string} run its id
 * @param {RunHandler} handler
 * @returns {() => void} stops following
 */
export function watchRun(run, handler) {
  const follower = new Follower(run, handler);
  const set = followers.get(run) || new Set();
  set.add(follower);
  followers.set(run, set);
  void follower.join();
  return () => {
    follower.stopped = true;
    set.delete(follower);
    if (!set.size) {
      followers.delete(run);
      socket?.emit("unwatch", { run });
    }
  };
}

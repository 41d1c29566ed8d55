/**
 * Whether this tab may do anything, and whether it is our server that answers.
 *
 * A session's secret opens what the API offers. It ends with the server's boot. While the server
 * is away, any program of any user of this machine can listen on its port and is the same origin
 * as this page. So once the connection broke, nothing is sent or believed before the server has
 * proven itself, and this tab proves itself by a key that it holds in memory only: a program on
 * the port can neither read it nor learn it from the proof.
 *
 * Such a program can also leave a service worker, which may take control of this tab at any time
 * and then sees all that the tab sends to our server. We have none, so under one nothing is sent.
 */
import { signal } from "./preact.js";

/** @typedef {{session: string | null, key: CryptoKey}} Known what the other side has to know, too */
/** @typedef {{session: string, secret: string, boot: string}} Opened */

const STORED = "cpt-studio.secret";
const HASH = { name: "HMAC", hash: "SHA-256" };
const PATIENCE_MS = 15_000;
const AGAIN_MS = 1000;
/** Without a secure context (--insecure-http) a browser has no cryptography for pages. */
const CAN_PROVE = Boolean(globalThis.crypto?.subtle);

/** "starting": it is not known yet; "open": signed in; "ended": the token is needed. */
export const session = signal(/** @type {"starting" | "open" | "ended"} */ ("starting"));

/** Whether what answers at this address cannot prove that it is our server. */
export const stranger = signal(false);

/** Whether a service worker stands between this tab and the server. It is there until the tab is loaded anew. */
export const intercepted = signal(false);

let secret = "";
/** The server's boot that this tab knew last. */
let former = "";
/** @type {Known | null} */
let known = null;
let proven = true;
/** @type {Promise<void> | null} */
let proving = null;

/** What answered is not our server, or not one that knows what we know. */
export class StrangerError extends Error {}
/** Our server knows this tab no more. */
export class EndedError extends Error {}

const encoder = new TextEncoder();

/** @param {ArrayBuffer} bytes */
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<CryptoKey>} a key that no script can read */
const imported = (bytes) => crypto.subtle.importKey("raw", bytes, HASH, false, ["sign", "verify"]);

/** @returns {string[]} secrets that may still open something: this tab's, this browser's */
function stored() {
  try {
    const found = [sessionStorage.getItem(STORED), localStorage.getItem(STORED)];
    return [...new Set(found.filter((one) => one !== null))];
  } catch {
    return [];
  }
}

/** @param {boolean} forOthers whether new tabs of this browser may use the secret, too */
function store(forOthers) {
  try {
    sessionStorage.setItem(STORED, secret);
    if (forOthers) localStorage.setItem(STORED, secret);
  } catch {
    // Storage is off in this browser: the session ends when the page is left.
  }
}

/** The header that opens the API. */
export const secretHeader = () => ({ "X-CPT-Studio-Session": secret });

/** What a WebSocket offers instead: a browser lets it send no header. */
export const socketProtocols = () => ["cpt-studio", secret];

/** Look for service workers and remove them; one that controls this tab stays until it is left. */
function lookForWorkers() {
  const workers = navigator.serviceWorker;
  if (workers?.controller && !intercepted.value) {
    intercepted.value = true;
    distrust();
    void workers.getRegistrations().then((all) => all.forEach((one) => void one.unregister()));
  }
  if (intercepted.value) throw new StrangerError();
}

/** None that was left may take control later. */
async function removeWorkers() {
  const all = await navigator.serviceWorker?.getRegistrations();
  await Promise.all((all ?? []).map((one) => one.unregister()));
  lookForWorkers();
}

/**
 * @param {string} path @param {Record<string, string | null>} body @param {RequestCredentials=} credentials
 * @returns {Promise<{status: number, body: any}>}
 */
async function ask(path, body, credentials = "same-origin") {
  lookForWorkers();
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    redirect: "error", credentials, signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const content = await response.json().catch(() => null);
  return { status: response.status, body: content && typeof content === "object" ? content : {} };
}

/** Both sides prove themselves to each other. @param {Known} mine @returns {Promise<Opened>} */
async function recognise(mine) {
  const nonce = hex(crypto.getRandomValues(new Uint8Array(16)).buffer);
  // Not even the cookie is sent to who has not proven itself.
  const { boot, challenge, proof } = (await ask("/enter/challenge", { session: mine.session, nonce }, "omit")).body;
  if ([boot, challenge].some((one) => typeof one !== "string") || !/^[0-9a-f]{64}$/.test(proof)) {
    throw new StrangerError();
  }
  const words = (/** @type {string} */ side) =>
    encoder.encode(["cpt-studio", side, location.origin, mine.session ?? "", boot, nonce, challenge].join("\n"));
  const theirs = Uint8Array.from(proof.match(/../g), (/** @type {string} */ pair) => parseInt(pair, 16));
  if (await crypto.subtle.verify(HASH, mine.key, theirs, words("over"))) throw new EndedError();
  if (!(await crypto.subtle.verify(HASH, mine.key, theirs, words("server")))) throw new StrangerError();
  const own = hex(await crypto.subtle.sign(HASH, mine.key, words("client")));
  const { status, body } = await ask("/enter/answer", { session: mine.session, nonce, challenge, proof: own, former });
  if (status !== 200) throw new StrangerError();
  return body;
}

/** Ask a server that is known to be ours by what this tab and it recognise each other. */
async function learn() {
  lookForWorkers();
  const response = await fetch("/api/session", { headers: secretHeader() });
  if (!response.ok) throw response.status === 401 ? new EndedError() : new StrangerError();
  const facts = await response.json();
  former = facts.boot;
  const key = Uint8Array.from(atob(facts.key), (one) => one.charCodeAt(0));
  known = CAN_PROVE ? { session: facts.session, key: await imported(key) } : null;
}

/** Begin: with the secret of this tab or browser, if it still opens anything. */
export async function startSession() {
  // No page of this address shall find this window by a name.
  window.name = "";
  navigator.serviceWorker?.addEventListener("controllerchange", () => {
    try {
      lookForWorkers();
    } catch {
      // The shell says so.
    }
  });
  await removeWorkers().catch(() => undefined);
  await resume(stored());
}

/** @param {string[]} secrets */
async function resume(secrets) {
  for (const one of secrets) {
    secret = one;
    for (;;) {
      try {
        await learn();
        opened(false);
        return;
      } catch (error) {
        if (error instanceof EndedError || intercepted.value) break;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
  endSession();
}

/** @param {boolean} forOthers */
function opened(forOthers) {
  store(forOthers);
  proven = true;
  stranger.value = false;
  session.value = "open";
}

/** The connection broke, or the server knew us no more: whoever answers next has to prove itself. */
export function distrust() {
  proven = false;
}

/** The server knows this tab no more. */
export function endSession() {
  secret = "";
  known = null;
  stranger.value = false;
  session.value = "ended";
}

/**
 * Wait until it is known that our server answers, and knows this tab.
 *
 * Throws `StrangerError` when another program answers, `EndedError` when the session has ended,
 * and what `fetch` throws when nobody answers.
 *
 * @returns {Promise<void>}
 */
export function trusted() {
  if (session.value === "ended") return Promise.reject(new EndedError());
  if (proven) {
    try {
      lookForWorkers();
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
  }
  proving ??= prove().finally(() => {
    proving = null;
  });
  return proving;
}

async function prove() {
  try {
    await removeWorkers();
    if (known) {
      const answer = await recognise(known);
      secret = answer.secret;
      former = answer.boot;
      if (answer.session !== known.session) await learn();
    } else {
      await learn();
    }
    // Not for other tabs: what was loaded in them meanwhile may be another program's page.
    opened(false);
  } catch (error) {
    if (error instanceof EndedError) {
      endSession();
    } else if (error instanceof StrangerError) {
      stranger.value = true;
    }
    throw error;
  }
}

/**
 * Sign in with the token. It is not sent where that can be avoided: both sides prove that they
 * know it. Throws `StrangerError` when it is not the token of the server that answers.
 *
 * @param {string} token
 */
export async function signIn(token) {
  let answer;
  await removeWorkers();
  if (CAN_PROVE) {
    answer = await recognise({ session: null, key: await imported(encoder.encode(token)) });
  } else {
    const { status, body } = await ask("/enter", { token });
    if (status !== 200) throw new StrangerError();
    answer = body;
  }
  secret = answer.secret;
  await learn();
  opened(true);
}

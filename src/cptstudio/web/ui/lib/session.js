/**
 * Whether this tab may do anything, and whether it is our server that answers.
 *
 * A session's secret opens what the API offers. It ends with the server's boot. While the server
 * is away, any program of any user of this machine can listen on its port and is the same origin
 * as this page. So once the connection broke, nothing is sent or believed before the server has
 * proven itself, and this tab proves itself by a key that it holds in memory only: a program on
 * the port can neither read it nor learn it from the proof.
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

let secret = "";
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
    if (forOthers) {
      localStorage.setItem(STORED, secret);
    }
  } catch {
    // Storage is off in this browser: the session ends when the page is left.
  }
}

/** The header that opens the API. */
export const secretHeader = () => ({ "X-CPT-Studio-Session": secret });

/** What a WebSocket offers instead: a browser lets it send no header. */
export const socketProtocols = () => ["cpt-studio", secret];

/** @param {string} path @param {Record<string, string | null>} body @returns {Promise<{status: number, body: any}>} */
async function ask(path, body) {
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const content = await response.json().catch(() => null);
  return { status: response.status, body: content && typeof content === "object" ? content : {} };
}

/**
 * Both sides prove themselves to each other.
 *
 * @param {Known} mine
 * @returns {Promise<Opened>}
 */
async function recognise(mine) {
  const nonce = hex(crypto.getRandomValues(new Uint8Array(16)).buffer);
  const { boot, challenge, proof } = (await ask("/enter/challenge", { session: mine.session, nonce })).body;
  if ([boot, challenge].some((one) => typeof one !== "string") || !/^[0-9a-f]{64}$/.test(proof)) {
    throw new StrangerError();
  }
  const words = (/** @type {string} */ side) =>
    encoder.encode(["cpt-studio", side, location.origin, mine.session ?? "", boot, nonce, challenge].join("\n"));
  const theirs = Uint8Array.from(proof.match(/../g), (/** @type {string} */ pair) => parseInt(pair, 16));
  if (await crypto.subtle.verify(HASH, mine.key, theirs, words("over"))) {
    throw new EndedError();
  }
  if (!(await crypto.subtle.verify(HASH, mine.key, theirs, words("server")))) {
    throw new StrangerError();
  }
  const own = hex(await crypto.subtle.sign(HASH, mine.key, words("client")));
  const { status, body } = await ask("/enter/answer", { session: mine.session, nonce, challenge, proof: own });
  if (status !== 200) {
    throw new StrangerError();
  }
  return body;
}

/** Ask a server that is known to be ours by what this tab and it recognise each other. */
async function learn() {
  const response = await fetch("/api/session", { headers: secretHeader() });
  if (!response.ok) {
    throw response.status === 401 ? new EndedError() : new StrangerError();
  }
  const facts = await response.json();
  const key = Uint8Array.from(atob(facts.key), (one) => one.charCodeAt(0));
  known = CAN_PROVE ? { session: facts.session, key: await imported(key) } : null;
}

/** Begin: with the secret of this tab or browser, if it still opens anything. */
export async function startSession() {
  // No page of this address shall find this window by a name.
  window.name = "";
  addEventListener("storage", (event) => {
    // Another tab has signed in.
    if (event.key === STORED && event.newValue && session.value === "ended") {
      void resume([event.newValue]);
    }
  });
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
        if (error instanceof EndedError) {
          break;
        }
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
  if (session.value === "ended") {
    return Promise.reject(new EndedError());
  }
  if (proven) {
    return Promise.resolve();
  }
  proving ??= prove().finally(() => {
    proving = null;
  });
  return proving;
}

async function prove() {
  try {
    if (known) {
      const answer = await recognise(known);
      secret = answer.secret;
      if (answer.session !== known.session) {
        await learn();
      }
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
  if (CAN_PROVE) {
    answer = await recognise({ session: null, key: await imported(encoder.encode(token)) });
  } else {
    const { status, body } = await ask("/enter", { token });
    if (status !== 200) {
      throw new StrangerError();
    }
    answer = body;
  }
  secret = answer.secret;
  await learn();
  opened(true);
}

/** Talks to the server's HTTP API: JSON in, JSON out, one kind of error. */
import { distrust, EndedError, endSession, secretHeader, StrangerError, trusted } from "./session.js";

/**
 * What the server said about a request it refused (RFC 9457 problem details).
 * `status` is 0 when no server answered at all.
 */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, problems?: string[],
   *   fields?: Record<string, string[]>, needs?: any}} body
   */
  constructor(status, body) {
    super(body.detail || body.title || `The server returned an error (${status}).`);
    this.name = "ApiError";
    this.status = status;
    this.title = body.title || "The request failed";
    this.detail = body.detail || "";
    this.problems = body.problems || [];
    this.fields = body.fields || {};
    /** What a run needs and what there is, where the server asks before it starts it; else null. */
    this.needs = body.needs ?? null;
    /** Whether something was only asked for, and may be answered as soon as the server is back. */
    this.passing = false;
  }
}

const RETRY_AFTER_MS = 700;
/** Nobody answered, the session had ended, or the server could not answer now. */
const PASSING = [0, 401, 503];

/**
 * @param {string} path such as "/api/runs"
 * @param {Record<string, any>=} query null and undefined are left out, arrays are joined with ","
 */
export function urlOf(path, query) {
  const given = Object.entries(query || {}).filter(([, value]) => value != null && value !== "");
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
  return given.length ? `${path}?${search}` : path;
}

/** @returns {string} a new random key */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Response} response */
async function parsed(response) {
  const text = await response.text();
  let body;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = response.ok ? text : null;
  }
  if (!response.ok) throw new ApiError(response.status, body && typeof body === "object" ? body : {});
  return body;
}

function noAnswer() {
  return new ApiError(0, {
    title: "No answer from the server",
    detail: "Can't reach the CPT Studio server. Runs continue without it; start it again with the same command.",
  });
}

/** Why nothing could be asked. @param {unknown} error @returns {ApiError} */
function whyNot(error) {
  if (error instanceof EndedError) {
    return new ApiError(401, { title: "Not signed in", detail: "You've been signed out. Sign in again." });
  }
  if (error instanceof StrangerError) {
    return new ApiError(0, {
      title: "A different program is running at this address",
      detail: "The program at this address couldn't prove that it is your CPT Studio. Nothing was sent to it.",
    });
  }
  return noAnswer();
}

/** Wait for our server; an `ApiError` says why it is not there. */
async function ourServer() {
  try {
    await trusted();
  } catch (error) {
    throw whyNot(error);
  }
}

/**
 * `fetch` that sends nothing to anyone but our server. When the server knows this tab's secret no
 * more, the tab proves itself once more.
 *
 * @param {string} path @param {RequestInit} options
 */
async function ask(path, options) {
  for (let again = false; ; again = true) {
    await ourServer();
    let response;
    try {
      response = await fetch(path, { ...options, headers: { ...options.headers, ...secretHeader() } });
    } catch (error) {
      if (!options.signal?.aborted) distrust();
      throw error;
    }
    if (response.status !== 401) return response;
    if (again) {
      endSession();
      return response;
    }
    distrust();
  }
}

/** @param {string} method @param {string} path @param {any} body */
async function send(method, path, body) {
  // The same key on the second try: the server answers as the first time and does nothing twice.
  const options = {
    method,
    headers: { "Content-Type": "application/json", "Idempotency-Key": randomKey() },
    body: JSON.stringify(body ?? {}),
  };
  try {
    return await parsed(await ask(path, options));
  } catch (error) {
    if (error instanceof ApiError) throw error;
  }
  await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
  try {
    return await parsed(await ask(path, options));
  } catch (error) {
    throw error instanceof ApiError ? error : noAnswer();
  }
}

/**
 * GET a resource.
 *
 * @param {string} path such as "/api/runs"
 * @param {Record<string, any>=} query @param {AbortSignal=} abort @returns {Promise<any>}
 */
export async function get(path, query, abort) {
  try {
    const response = await ask(urlOf(path, query), { signal: abort ?? null }).catch((error) => {
      throw abort?.aborted || error instanceof ApiError ? error : noAnswer();
    });
    return await parsed(response);
  } catch (error) {
    if (error instanceof ApiError) error.passing = PASSING.includes(error.status);
    throw error;
  }
}

/** POST JSON. @param {string} path @param {any=} body @returns {Promise<any>} */
export const post = (path, body) => send("POST", path, body);

/** PUT JSON. @param {string} path @param {any=} body @returns {Promise<any>} */
export const put = (path, body) => send("PUT", path, body);

/**
 * DELETE, with a JSON body where the API wants a confirmation.
 * @param {string} path @param {any=} body @returns {Promise<any>}
 */
export const del = (path, body) => send("DELETE", path, body);

/**
 * Stream a file to the server.
 *
 * @param {File} file
 * @param {(done: number, total: number) => void=} onProgress bytes
 * @param {AbortSignal=} abort
 * @param {"corpus"|"text"|"questions"=} purpose what it is for
 * @param {string=} name what it is called on the server: the path inside a dropped folder
 * @param {readonly string[]=} include kinds that are taken although they are otherwise left aside
 * @returns {Promise<{id: string, name: string, bytes: number}>}
 */
export async function upload(file, onProgress, abort, name = file.name, include = [], purpose = "corpus") {
  await ourServer();
  return new Promise((resolve, reject) => {
    // fetch tells nothing of an upload's progress.
    const request = new XMLHttpRequest();
    request.open("POST", urlOf("/api/uploads", { name, purpose, include: include.join(",") || undefined }));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Idempotency-Key", randomKey());
    for (const [header, value] of Object.entries(secretHeader())) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => onProgress?.(event.loaded, event.total);
    request.onerror = () => {
      distrust();
      reject(noAnswer());
    };
    request.onabort = () => reject(new DOMException("Upload canceled.", "AbortError"));
    request.onload = () => {
      parsed(new Response(request.responseText, { status: request.status })).then(resolve, reject);
    };
    abort?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** Files to take away: those that the page itself makes, and those that the server gives out. */
import { post } from "./api.js";

/** @param {string} url @param {string} name "": as the server calls it */
function follow(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

/**
 * Download what a path of the API gives out. The browser sends no secret then, so it gets a link
 * that is good for one time.
 *
 * @param {string} path with query
 */
export async function download(path) {
  const { url } = await post("/api/session/link", { path });
  follow(url, "");
}

/** @param {Blob} content @param {string} name */
export function saveBlob(content, name) {
  const url = URL.createObjectURL(content);
  follow(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @param {any} value */
function csvCell(value) {
  const text = value == null ? "" : String(value);
  // A spreadsheet would take a leading sign of a word for a formula.
  const safe = /^[=+@\t]|^-(?![\d.])/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {string[]} header @param {any[][]} rows @param {string} name */
export function saveCsv(header, rows, name) {
  const text = [header, ...rows].map((row) => row.map(csvCell).join(",")).join("\n");
  saveBlob(new Blob([`${text}\n`], { type: "text/csv" }), name);
}

/** @param {any} value @param {string} name */
export function saveJson(value, name) {
  saveBlob(new Blob([`${JSON.stringify(value, null, 1)}\n`], { type: "application/json" }), name);
}

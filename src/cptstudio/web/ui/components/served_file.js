import { download } from "../lib/download.js";
import { toastError } from "./announce.js";

/** Download what a path of the API gives out; why it failed is shown. @param {string} path */
export function downloadServed(path) {
  download(path).catch(toastError);
}

import { h } from "../lib/preact.js";

/** Paths on a 16 by 16 grid, drawn with the text's colour. */
const PATHS = {
  again: "M12.6 5.4A5.4 5.4 0 1 0 13.4 8M12.9 2.4v3.2H9.7",
  alert: "M8 2 1.5 13.5h13L8 2Zm0 4.5v3.2m0 1.9v.1",
  check: "m3 8.5 3.2 3.2L13 4.8",
  chevron: "m5.5 6.5 2.5 3 2.5-3",
  close: "m4 4 8 8m0-8-8 8",
  download: "M8 2.5v7m-3-3 3 3 3-3M3 13.2h10",
  file: "M4 1.8h5l3 3v9.4H4V1.8Zm5 0v3h3",
  folder: "M1.8 4v8.6h12.4V5.4H7.6L6.2 4H1.8Z",
  fork: "M4.5 5.5v5m7-5c0 3-7 2-7 5M4.5 2.3a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Zm7 0a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 "
    + "0 0 0-3.2Zm-7 8.2a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Z",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 5.4v3.9M8 4.8v.1",
  kill: "M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3l3.5-3.5ZM6 6l4 4m0-4-4 4",
  minus: "M3.5 8h9",
  pause: "M5.5 3.5v9m5-9v9",
  pin: "M5.5 2h5l-.8 4.2L12 9H4l2.3-2.8L5.5 2ZM8 9v5",
  play: "M4.5 2.8v10.4L13 8 4.5 2.8Z",
  plus: "M8 3v10M3 8h10",
  resume: "M3 3v10m3-10v10l7-5-7-5Z",
  stop: "M3.8 3.8h8.4v8.4H3.8V3.8Z",
  table: "M2 3h12v10H2V3Zm0 3.4h12M2 9.7h12M6.5 6.4V13",
  trash: "M2.8 4.3h10.4M6.2 4V2.3h3.6V4m-5.6.3.6 9.4h6.4l.6-9.4",
  upload: "M8 10.5v-7m-3 3 3-3 3 3M3 13.2h10",
  zoom_out: "M7 2.3a4.7 4.7 0 1 0 0 9.4 4.7 4.7 0 0 0 0-9.4Zm3.5 8.2 3.3 3.3M5 7h4",
};

/**
 * A small drawing. It is decoration: what it means stands in words beside it, or in `label`.
 *
 * @param {{name: string, label?: string}} props
 */
export function Icon({ name, label }) {
  const known = /** @type {Record<string, string>} */ (PATHS);
  return h("svg", {
    class: "icon",
    viewBox: "0 0 16 16",
    width: 16,
    height: 16,
    role: label ? "img" : undefined,
    "aria-label": label,
    "aria-hidden": label ? undefined : "true",
  },
    h("path", { d: known[name] || known.info }));
}

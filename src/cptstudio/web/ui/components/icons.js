/** All drawings of the pages: one set, one grid, one stroke. */
import { h } from "../lib/preact.js";

/** Paths on a 16 by 16 grid, drawn with the text's color; those of pages bear the pages' names. */
const PATHS = {
  again: "M12.6 5.4A5.4 5.4 0 1 0 13.4 8M12.9 2.4v3.2H9.7",
  alert: "M8 2 1.5 13.5h13L8 2Zm0 4.5v3.2m0 1.9v.1",
  arrow: "M3 8h9.5M9 4.2 12.8 8 9 11.8",
  bell: "M8 2.2a3.8 3.8 0 0 0-3.8 3.8c0 3.6-1.6 5-1.6 5h10.8s-1.6-1.4-1.6-5A3.8 3.8 0 0 0 8 2.2Zm-1.2 11a1.3 1.3 0 0 0 "
    + "2.4 0",
  bolt: "M9 1.8 3.5 9H8l-1 5.2L12.5 7H8l1-5.2Z",
  book: "M2.5 3.2c2-.6 4-.3 5.5.9 1.5-1.2 3.5-1.5 5.5-.9v9.3c-2-.6-4-.3-5.5.9-1.5-1.2-3.5-1.5-5.5-.9V3.2ZM8 4.1v9.3",
  check: "m3 8.5 3.2 3.2L13 4.8",
  chevron: "m5.5 6.5 2.5 3 2.5-3",
  chip: "M4.5 4.5h7v7h-7v-7Zm2-3v3m3-3v3m-3 7v3m3-3v3m-8-8h3m-3 3h3m7-3h3m-3 3h3",
  clock: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 2.9V8l2.3 1.7",
  close: "m4 4 8 8m0-8-8 8",
  compare: "M2 11.5c2.5 0 3-7 6-7s3.5 3 6 3M2 13.5h12M2 6.5c2 0 3 4 6 4s4-1.5 6-1.5",
  data: "M8 1.8c3.2 0 5.2 1 5.2 2.2S11.2 6.2 8 6.2 2.8 5.2 2.8 4 4.8 1.8 8 1.8ZM2.8 4v8c0 1.2 2 2.2 5.2 2.2s5.2-1 "
    + "5.2-2.2V4M2.8 8c0 1.2 2 2.2 5.2 2.2s5.2-1 5.2-2.2",
  disk: "M3.6 3h8.8l1.8 6.2v3.6H1.8V9.2L3.6 3Zm-1.8 6.2h12.4M11.4 11h.1",
  download: "M8 2.5v7m-3-3 3 3 3-3M3 13.2h10",
  edit: "M10.6 2.9 13 5.3 5.6 12.7l-3 .7.7-3 7.3-7.5Zm-1.6 1.6L11.4 7",
  evaluate: "M3 13.2V8.6m3.4 4.6V5.4m3.4 7.8v-6m3.4 6V2.8",
  external: "M6.5 3.2H3v9.8h9.8V9.5M9 2.8h4.2V7m0-4.2L7.4 8.6",
  eye: "M1.6 8S4 3.8 8 3.8 14.4 8 14.4 8 12 12.2 8 12.2 1.6 8 1.6 8ZM8 6.1a1.9 1.9 0 1 0 0 3.8 1.9 1.9 0 0 0 0-3.8Z",
  file: "M4 1.8h5l3 3v9.4H4V1.8Zm5 0v3h3",
  filter: "M2.2 3.5h11.6M4.4 8h7.2M6.6 12.5h2.8",
  flag: "M3.5 14V2.5m0 .7c3-1.6 5.5 1.4 9 0v6.3c-3.5 1.4-6-1.6-9 0",
  folder: "M1.8 4v8.6h12.4V5.4H7.6L6.2 4H1.8Z",
  down: "M8 3v10M4 9l4 4 4-4",
  fork: "M4.5 5.5v5m7-5c0 3-7 2-7 5M4.5 2.3a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Zm7 0a1.6 1.6 0 1 0 0 3.2 1.6 1.6 "
    + "0 0 0 0-3.2Zm-7 8.2a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2Z",
  grid: "M2.5 2.5h4.4v4.4H2.5V2.5Zm6.6 0h4.4v4.4H9.1V2.5ZM2.5 9.1h4.4v4.4H2.5V9.1Zm6.6 0h4.4v4.4H9.1V9.1Z",
  grip: "M6 3.5h.1m3.8 0h.1M6 8h.1m3.8 0h.1M6 12.5h.1m3.8 0h.1",
  home: "M2.2 7.4 8 2.4l5.8 5M3.8 6.2v7.2h8.4V6.2M6.6 13.2V9.4h2.8v3.8",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 5.4v3.9M8 4.8v.1",
  kill: "M5.3 1.8h5.4l3.5 3.5v5.4l-3.5 3.5H5.3l-3.5-3.5V5.3l3.5-3.5ZM6 6l4 4m0-4-4 4",
  link: "M6.6 9.4a2.6 2.6 0 0 0 3.7 0l2.5-2.5a2.6 2.6 0 0 0-3.7-3.7l-.8.8m1.1 2.6a2.6 2.6 0 0 0-3.7 0L3.2 9.1a2.6 "
    + "2.6 0 0 0 3.7 3.7l.8-.8",
  list: "M5.8 3.8h8M5.8 8h8m-8 4.2h8M2.4 3.8h.1M2.4 8h.1m-.1 4.2h.1",
  memory: "M1.8 4.5h12.4v6.5H1.8V4.5Zm2.4 6.5v1.8m2.5-1.8v1.8m2.6-1.8v1.8m2.5-1.8v1.8M4.6 7v1.6M8 7v1.6M11.4 7v1.6",
  menu: "M2.5 4.2h11M2.5 8h11m-11 3.8h11",
  minus: "M3.5 8h9",
  models: "M8 1.8 13.6 5v6L8 14.2 2.4 11V5L8 1.8ZM2.4 5 8 8.2 13.6 5M8 8.2v6",
  moon: "M13.4 9.6A5.8 5.8 0 0 1 6.4 2.6a5.8 5.8 0 1 0 7 7Z",
  more: "M3.2 8h.1m4.6 0h.1m4.7 0h.1",
  new: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 3.4v5.6M5.2 8h5.6",
  pause: "M5.5 3.5v9m5-9v9",
  pin: "M5.5 2h5l-.8 4.2L12 9H4l2.3-2.8L5.5 2ZM8 9v5",
  play: "M4.5 2.8v10.4L13 8 4.5 2.8Z",
  playground: "M2 3h12v8.2H8.2L5 13.8v-2.6H2V3Zm3 3h6M5 8.4h3.6",
  plus: "M8 3v10M3 8h10",
  resume: "M3 3v10m3-10v10l7-5-7-5Z",
  runs: "M1.8 2.5v11h12.4M4.4 4.4c1.2 4.4 3 5.8 8.8 6.2",
  search: "M7 2.3a4.7 4.7 0 1 0 0 9.4 4.7 4.7 0 0 0 0-9.4Zm3.5 8.2 3.3 3.3",
  settings: "M2 4.5h6.4m3.4 0H14M2 11.5h2.4m3.4 0H14M10.1 2.8a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4Zm-4 7a1.7 1.7 "
    + "0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4Z",
  sidebar: "M2 2.8h12v10.4H2V2.8Zm4 0v10.4",
  stop: "M3.8 3.8h8.4v8.4H3.8V3.8Z",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1.4v1.4m0 10.4v1.4M1.4 8h1.4m10.4 0h1.4M3.3 3.3l1 1m7.4 "
    + "7.4 1 1m0-9.4-1 1m-7.4 7.4-1 1",
  tag: "M2.2 2.2h5.3l6.3 6.3-5.3 5.3-6.3-6.3V2.2Zm2.9 2.9h.1",
  table: "M2 3h12v10H2V3Zm0 3.4h12M2 9.7h12M6.5 6.4V13",
  target: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 3.2a3 3 0 1 0 0 6 3 3 0 0 0 0-6Zm0 2.9v.1",
  trash: "M2.8 4.3h10.4M6.2 4V2.3h3.6V4m-5.6.3.6 9.4h6.4l.6-9.4",
  undo: "M5.6 3 2.6 6l3 3M2.6 6h6.2a3.7 3.7 0 0 1 0 7.4H6",
  up: "M8 13V3M4 7l4-4 4 4",
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

/** Numbers as people read them. Everything absent is an en dash; nothing is invented. */

export const ABSENT = "–";
const LOCALE = "en-US";

/** @param {any} value @returns {value is number} */
const finite = (value) => typeof value === "number" && Number.isFinite(value);

/**
 * A number with a few significant digits; words for what is not finite.
 *
 * @param {number | string | null | undefined} value
 * @param {number=} digits significant digits
 */
export function number(value, digits = 4) {
  if (value == null) return ABSENT;
  if (!finite(value)) return String(value).replace("Infinity", "∞");
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e7)) {
    return value.toExponential(Math.max(0, digits - 2)).replace(/\.?0+e/, "e").replace("e+", "e");
  }
  return value.toLocaleString(LOCALE, { maximumSignificantDigits: Math.max(digits, 1) });
}

/** A whole number with thousands separated. @param {number | null | undefined} value */
export function integer(value) {
  return finite(value) ? Math.round(value).toLocaleString(LOCALE) : ABSENT;
}

/** A large count in short: 12.3k, 4.5M. @param {number | null | undefined} value */
export function count(value) {
  if (!finite(value)) return ABSENT;
  for (const [unit, size] of /** @type {[string, number][]} */ ([["T", 1e12], ["B", 1e9], ["M", 1e6], ["k", 1e3]])) {
    // What three digits would round up to a thousand is one of the next unit: 999.9 million are 1B.
    if (Math.abs(value) >= 0.9995 * size) {
      return `${(value / size).toLocaleString(LOCALE, { maximumSignificantDigits: 3 })}${unit}`;
    }
  }
  return value.toLocaleString(LOCALE, { maximumFractionDigits: 0 });
}

/** Bytes in decimal units, as disks and memory are sold. @param {number | null | undefined} value */
export function bytes(value) {
  if (!finite(value)) return ABSENT;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = Math.abs(value);
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || size >= 100 ? 0 : 1;
  return `${value < 0 ? "−" : ""}${size.toFixed(digits)} ${units[unit]}`;
}

/** @type {[number, string, number, string][]} */
const DURATIONS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

/**
 * A length of time, as `durations.py` writes it: 45 s, 3 min 20 s, 2 h 05 min, 3 d 4 h.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (!finite(seconds)) return ABSENT;
  const whole = Math.max(0, Math.round(seconds));
  if (seconds > 0 && seconds < 1) return "< 1 s";
  const [size, unit, smaller, smallerUnit] = DURATIONS.find(([one]) => whole >= one) ?? [1, "s", 1, ""];
  const rest = Math.floor((whole % size) / smaller);
  const padded = String(rest).padStart(unit === "d" ? 1 : 2, "0");
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${padded} ${smallerUnit}` : ""}`;
}

/**
 * A rate: 1.2k tokens/s, 3.4 MB/s.
 *
 * @param {number | null | undefined} value per second
 * @param {string} unit "tokens", "bytes", "files", ...
 */
export function rate(value, unit) {
  if (!finite(value)) return ABSENT;
  if (unit === "bytes") return `${bytes(value)}/s`;
  // A slow step must not look like none: 0.15 steps/s.
  return `${Math.abs(value) < 10 ? value.toLocaleString(LOCALE, { maximumSignificantDigits: 2 }) : count(value)} `
    + `${unit}/s`;
}

/** A point in time in the reader's own zone. @param {number | null | undefined} seconds Unix time */
export function date(seconds) {
  if (!finite(seconds) || seconds <= 0) return ABSENT;
  return new Date(seconds * 1000).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "short" });
}

/** How long ago, roughly. @param {number | null | undefined} seconds Unix time */
export function ago(seconds) {
  if (!finite(seconds) || seconds <= 0) return ABSENT;
  const passed = Date.now() / 1000 - seconds;
  if (passed < 60) return "just now";
  /** @type {[number, string][]} */
  const units = [[86400 * 365, "year"], [86400 * 30, "month"], [86400, "day"], [3600, "h"], [60, "min"]];
  const [size, name] = units.find(([length]) => passed >= length) || [60, "min"];
  const amount = Math.floor(passed / size);
  return `${amount} ${name}${amount === 1 || passed < 86400 ? "" : "s"} ago`;
}

/** Bits per byte. @param {number | string | null | undefined} value */
export function bits(value) {
  return finite(value) ? value.toFixed(4) : number(value);
}

/**
 * A change with its sign: +0.0123, −0.0456.
 * @param {number | null | undefined} value
 * @param {number=} digits decimals
 */
export function change(value, digits = 4) {
  if (!finite(value)) return ABSENT;
  const text = Math.abs(value).toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  if (!/[1-9]/.test(text)) return `±${text}`;
  return (value > 0 ? "+" : "−") + text;
}

/** A share of one in percent. @param {number | null | undefined} value */
export function percent(value) {
  return finite(value) ? `${(value * 100).toLocaleString(LOCALE, { maximumFractionDigits: 1 })}%` : ABSENT;
}

/** A setting's value as it was recorded. @param {any} value @returns {string} */
export const shownValue = (value) =>
  value == null ? ABSENT : typeof value === "object" ? JSON.stringify(value)
    : String(value).replace(/^1 (epoch|step|token)s$/, "1 $1");

/**
 * Numbers as people type them: read right or refused, never taken for another number.
 *
 * The same as `typed_numbers.py`, which reads the command line's and the API's;
 * `tests/typed_numbers.json` holds both to one table.
 */

/**
 * What a text was read as: `number` is null where it holds nothing or is refused; `problem` says
 * why it is refused, "" where it is not.
 * @typedef {{number: number|null, problem: string}} Typed
 * @typedef {{whole?: boolean, unit?: string, suffixes?: boolean}} Options
 * whole: only whole numbers; unit: the field's own, which may follow the number, "%" where it is in
 * percent (elsewhere 5% is 0.05); suffixes: k, M, G and B multiply
 */

/** @type {{[letter: string]: number}} */
const SUFFIXES = { k: 3, m: 6, g: 9, b: 9 };
/** @type {{[letter: string]: string}} */
const FORMS = { "\u2212": "-", "\u2019": "'", "\u066b": ".", "\u3000": " ", "\t": " ", "\u00a0": " ", "\u2007": " ",
  "\u2009": " ", "\u202f": " " };
const NUMBER = /^([+-]?)([0-9][0-9,._' ]*|[.,][0-9]+)(?:[eE]([+-]?[0-9]{1,4}))?$/;
const GROUPED = /^[0-9]{1,3}(?:([_' ])[0-9]{3})(?:\1[0-9]{3})*(?:[.,]([0-9]+))?$/;
const ENGLISH = /^[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+\.[0-9]*|(?:,[0-9]{3}){2,})$/;
const GERMAN = /^[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+,[0-9]*|(?:\.[0-9]{3}){2,})$/;
const PLAIN = /^[0-9]*[.,]?[0-9]*$/;
const EITHER = /^[1-9][0-9]{0,2}[.,][0-9]{3}$/;

/** Full-width forms and their kin as the letters that are meant. @param {string} letter */
function form(letter) {
  const code = letter.codePointAt(0) ?? 0;
  return code >= 0xff01 && code <= 0xff5e ? String.fromCodePoint(code - 0xff01 + 0x21) : (FORMS[letter] ?? letter);
}

/**
 * @param {string} text as typed: "0.001", "0,001", "1e-4", "5%", "1_000", "1 000,5"
 * @param {Options=} options @returns {Typed}
 */
export function readNumber(text, { whole = false, unit = "", suffixes = false } = {}) {
  const refused = { number: null, problem: whole
    ? "Enter a whole number, such as 500."
    : "Enter a number, such as 0.5." };
  let plain = Array.from(text, form).join("").replace(/^ +| +$/g, "");
  if (plain === "") return { number: null, problem: "" };
  let shift = 0;
  if (plain.endsWith("%")) {
    if (whole) return refused;
    shift = unit === "%" ? 0 : -2;
    plain = plain.slice(0, -1).trimEnd();
  } else if (unit !== "" && plain.toLowerCase().endsWith(unit.toLowerCase())) {
    plain = plain.slice(0, -unit.length).trimEnd();
  }
  const factor = suffixes ? SUFFIXES[plain.slice(-1).toLowerCase()] : undefined;
  if (factor !== undefined) {
    shift = factor;
    plain = plain.slice(0, -1).trimEnd();
  }
  const match = NUMBER.exec(plain);
  if (match === null) return refused;
  const power = Number(match[3] ?? 0) + shift;
  let digits = /** @type {string} */ (match[2]);
  const group = GROUPED.exec(digits);
  if (group !== null) {
    digits = digits.replaceAll(/** @type {string} */ (group[1]), "");
  } else if (ENGLISH.test(digits)) {
    digits = digits.replaceAll(",", "");
  } else if (GERMAN.test(digits)) {
    digits = digits.replaceAll(".", "");
  } else if (EITHER.test(digits) && (digits.includes(",") || (whole && power === 0) || digits.endsWith("0"))) {
    const one = digits.replace(",", ".").replace(/0+$/, "").replace(/\.$/, "");
    return { number: null,
      problem: `“${text.trim()}” could mean ${digits.replace(/[.,]/, "")} or ${one}. Enter one of these.` };
  }
  if (!PLAIN.test(digits)) return refused;
  const mantissa = digits.replace(",", ".");
  const value = Number(`${match[1]}${mantissa}e${power}`);
  if (!Number.isFinite(value) || (value === 0 && /[1-9]/.test(mantissa))) return refused;
  return whole && !Number.isSafeInteger(value) ? refused : { number: value, problem: "" };
}

/**
 * A list of numbers with semicolons, blanks or commas between them, null where it is none. Commas
 * alone, as in 0,5, may be decimal ones or stand between numbers: such a list is refused.
 * @param {string} text @returns {number[]|null}
 */
export function readNumbers(text) {
  const spaced = text.trim().split(/\s*;\s*|\s*,\s+|\s+/).filter(Boolean);
  const commasAlone = spaced.length === 1 && text.includes(",");
  if (commasAlone && !text.includes(".")) return null;
  const parts = commasAlone ? text.split(",") : spaced;
  const found = parts.map((part) => readNumber(part));
  return found.length > 0 && found.every((one) => one.number !== null) ? found.map((one) => Number(one.number)) : null;
}

/**
 * Bounds of a number: least and most are in them, above and below are not.
 * @typedef {{least?: number, most?: number, above?: number, below?: number}} Bounds
 */

/**
 * The same, held against the bounds that the field has.
 * @param {string} text @param {Options & Bounds} options @returns {Typed}
 */
export function checkedNumber(text, options) {
  const { least = -Infinity, most = Infinity, above = -Infinity, below = Infinity } = options;
  const read = readNumber(text, options);
  if (read.number === null) return read;
  const problem = read.number < least ? `Use at least ${least.toLocaleString("en-US")}.`
    : read.number > most ? `Use at most ${most.toLocaleString("en-US")}.`
    : read.number <= above ? `Use a value above ${above.toLocaleString("en-US")}.`
    : read.number >= below ? `Use a value below ${below.toLocaleString("en-US")}.` : "";
  return problem === "" ? read : { number: null, problem };
}

/**
 * What a text typed into a number field stands for: null when empty (chosen for you, or the
 * default), a number, or the text itself where it cannot be read as one, for the server to refuse.
 * @param {string} text @param {Options=} options @returns {number|string|null}
 */
export function typedNumber(text, options) {
  const { number, problem } = readNumber(text, options);
  return problem === "" ? number : text.trim();
}

/** A value as text in a field. @param {unknown} value */
export function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3) {
    return value.toExponential().replace("e-0", "e-");
  }
  return String(value);
}

/**
 * From scored tokens to coloured pieces of a text.
 *
 * A cell is the shortest piece of text at whose end tokens of all models end. With one tokenizer a
 * cell is a token, or the few tokens that spell one character together; with several it may hold
 * some tokens of each.
 */

/**
 * @typedef {object} Scored what the API says of one model and text
 * @property {[number, number][]} places code points of the text, from and to
 * @property {(number | string)[]} nats
 */
/**
 * @typedef {object} Cell
 * @property {number} from index into the JavaScript string
 * @property {number} to
 * @property {number[]} nats under each model
 * @property {number[]} tokens how many of each model
 */

/** Levels of the colours: upper bounds in nats; what is above the last one is the highest level. */
export const SURPRISE_BOUNDS = [0.1, 0.5, 1, 2, 3, 4.5, 6, 8];
export const CHANGE_BOUNDS = [0.1, 0.5, 1, 2];

/** @param {number} value @param {number[]} bounds */
const level = (value, bounds) => {
  const found = bounds.findIndex((bound) => value < bound);
  return found < 0 ? bounds.length : found;
};

/** The class of a token by its nats: "heat-0" (expected) to "heat-8". @param {number} nats */
export const surpriseClass = (nats) => (Number.isNaN(nats) ? "heat-unknown" : `heat-${level(nats, SURPRISE_BOUNDS)}`);

/** The class of a change in nats: "better-4" to "better-1", "heat-0", "worse-1" to "worse-4". @param {number} change */
export function changeClass(change) {
  if (Number.isNaN(change)) return "heat-unknown";
  const found = level(Math.abs(change), CHANGE_BOUNDS);
  return found === 0 ? "heat-0" : `${change < 0 ? "better" : "worse"}-${found}`;
}

/**
 * Indices of a JavaScript string by code points: characters beyond the basic plane take two.
 * @param {string} text @returns {(codePoint: number) => number}
 */
export function indexByCodePoint(text) {
  /** @type {number[]} code points that take two units, in order */
  const wide = [];
  let point = 0;
  for (const character of text) {
    if (character.length === 2) wide.push(point);
    point += 1;
  }
  if (wide.length === 0) return (at) => at;
  return (at) => {
    let low = 0;
    let high = wide.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (wide[middle] < at) low = middle + 1;
      else high = middle;
    }
    return at + low;
  };
}

/**
 * @param {string} text
 * @param {Scored[]} models at least one
 * @returns {{cells: Cell[], rest: number}} rest: where text begins that no token covers
 */
export function cellsOf(text, models) {
  const place = indexByCodePoint(text);
  const ends = models.map((model) => new Set(model.places.map(([, to]) => to)));
  const common = [...ends[0]].filter((end) => end > 0 && ends.every((other) => other.has(end)))
    .sort((one, other) => one - other);
  const positions = models.map(() => 0);
  /** @type {Cell[]} */
  const cells = [];
  let from = 0;
  common.forEach((end, index) => {
    const last = index === common.length - 1;
    const sums = models.map((model, at) => {
      let nats = 0;
      let tokens = 0;
      // A token without text of its own (a byte of a character, a marker) belongs to the piece it ends in.
      while (positions[at] < model.places.length && (last || model.places[positions[at]][1] <= end)) {
        nats += Number(model.nats[positions[at]]);
        tokens += 1;
        positions[at] += 1;
      }
      return { nats, tokens };
    });
    const to = place(end);
    cells.push({ from, to, nats: sums.map((sum) => sum.nats), tokens: sums.map((sum) => sum.tokens) });
    from = to;
  });
  return { cells, rest: from };
}

/** How a piece of text is named where its white space must be seen. @param {string} piece */
export function visible(piece) {
  return piece.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}

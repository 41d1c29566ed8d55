/** Where one text first departs from another. */

/** Compares two growing texts; what was equal is not compared again. */
export class Departure {
  constructor() {
    this.same = 0;
    /** @type {any} */
    this.one = null;
    /** @type {any} */
    this.other = null;
  }

  /**
   * The first place (in UTF-16 units) where the texts differ; null while one is the other's beginning.
   *
   * @param {{pieces: any[], string: string}} one @param {{pieces: any[], string: string}} other
   */
  find(one, other) {
    if (this.one !== one || this.other !== other) {
      this.same = 0;
      this.one = one;
      this.other = other;
    }
    const [a, b] = [one.string, other.string];
    const shorter = Math.min(a.length, b.length);
    while (this.same < shorter && a.charCodeAt(this.same) === b.charCodeAt(this.same)) this.same += 1;
    return this.same < shorter ? this.same : null;
  }
}

/** Which piece holds a place of the text. @param {{text: string}[]} pieces @param {number} place */
export function pieceAt(pieces, place) {
  let passed = 0;
  for (let index = 0; index < pieces.length; index += 1) {
    passed += pieces[index].text.length;
    if (passed > place) return index;
  }
  return pieces.length - 1;
}

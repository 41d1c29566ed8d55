/** What a corpus can be built from, as the server says. */

import { get } from "../../lib/api.js";
import { signal, useEffect } from "../../lib/preact.js";

/** @typedef {{title: string, suffixes: string[], records: boolean}} Format */

const known = signal(/** @type {{formats: Format[], packed: string[]}|null} */ (null));
const list = new Intl.ListFormat("en-US");

/** Sentences on the formats, "" until the server has told them. */
export function useFormats() {
  useEffect(() => {
    if (known.value === null) get("/api/uploads/formats").then((answer) => (known.value = answer), () => {});
  }, []);
  if (known.value === null) return { all: "" };
  const { formats, packed } = known.value;
  const titles = list.format(formats.map((one) => one.title));
  return {
    all: `${titles.charAt(0).toUpperCase()}${titles.slice(1)}; also packed as ${list.format(packed)}. `,
  };
}

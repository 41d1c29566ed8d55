/** Data: the corpora, how to add one, and the page of each. */

import { h } from "../lib/preact.js";
import { route } from "../lib/router.js";
import { CorpusList } from "./data/corpus_list.js";
import { CorpusPage } from "./data/corpus_page.js";

export default function DataPage() {
  const name = route.value.path.replace(/^\/data\/?/, "").replace(/\/$/, "");
  return name === "" ? h(CorpusList, {}) : h(CorpusPage, { key: name, name });
}

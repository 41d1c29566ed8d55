/** Facts: the ledgers, and the page of each. */

import { h } from "../lib/preact.js";
import { route } from "../lib/router.js";
import { LedgerList } from "./facts/list.js";
import { LedgerPage } from "./facts/ledger_page.js";

export default function FactsPage() {
  const name = route.value.path.replace(/^\/facts\/?/, "").replace(/\/$/, "");
  return name === "" ? h(LedgerList, {}) : h(LedgerPage, { key: name, name });
}

/** An endpoint of others: its address, where its key comes from, its prices; then its host is confirmed. */

import { Dialog } from "../../components/dialog.js";
import { Button, Field, Problem, Select } from "../../components/elements.js";
import { NumberField } from "../../components/number_field.js";
import { post } from "../../lib/api.js";
import { h, useState, withValue } from "../../lib/preact.js";
import { useWork } from "../../lib/resource.js";
import { checkedNumber } from "../../lib/typed_number.js";

const PRICE = { least: 0, most: 1_000_000 };
const KEYS = [["none", "No key"], ["environment", "Environment variable"], ["keyring", "System's keyring"]];

/** @param {{close: () => void, added: (endpoint: any) => void}} props */
export function AddEndpoint({ close, added }) {
  const [address, setAddress] = useState("");
  const [key, setKey] = useState("none");
  const [variable, setVariable] = useState("");
  const [prices, setPrices] = useState({ price_in: "", price_out: "" });
  const [asked, setAsked] = useState(/** @type {{host: string, encrypted: boolean}|null} */ (null));
  const { busy, error, run } = useWork();
  const price = (/** @type {"price_in"|"price_out"} */ name) => checkedNumber(prices[name], PRICE).number;
  const look = () => run(async () => setAsked(await post("/api/remote-endpoints/host", { address })));
  const add = () => run(async () => added(await post("/api/remote-endpoints", { address, key,
    variable: key === "environment" ? variable : null, price_in: price("price_in"), price_out: price("price_out"),
    confirmed: asked?.host ?? "" })));
  const change = (/** @type {(value: string) => void} */ set) => (/** @type {string} */ value) => {
    setAsked(null);
    set(value);
  };
  return h(Dialog, { title: "Add an endpoint", onClose: close, actions: [
      h(Button, { key: "no", onClick: close }, "Cancel"),
      asked === null
        ? h(Button, { key: "look", kind: "primary", busy, disabled: address.trim() === "", onClick: look }, "Continue")
        : h(Button, { key: "yes", kind: "primary", busy, onClick: add }, `Confirm ${asked.host}`),
    ] },
    h("div", { class: "stack" },
      h(Field, { label: "Address", hint: "Base URL, such as https://api.example.com/v1.", control: (attributes) =>
        h("input", { ...attributes, type: "url", autocomplete: "off", spellcheck: false, maxLength: 500, value: address,
          onInput: withValue(change(setAddress)) }) }),
      h(Field, { label: "API key", hint: key === "keyring"
        ? "Keep it with “cpt-studio remote key ADDRESS” in a terminal: keys are not typed into pages."
        : "Keys are not typed into pages and not stored by CPT Studio.", control: (attributes) =>
        h(Select, { ...attributes, value: key, choices: KEYS, onChoose: change(setKey) }) }),
      key === "environment" && h(Field, { label: "Environment variable", hint: "Its name, which ends in _API_KEY. The "
        + "server was started with it.", control: (attributes) => h("input", { ...attributes, type: "text",
        autocomplete: "off", spellcheck: false, maxLength: 100, value: variable,
        onInput: withValue(change(setVariable)) }) }),
      h("div", { class: "setting-grid" },
        h(NumberField, { label: "Price per million tokens sent", text: prices.price_in, limits: PRICE,
          placeholder: "unknown", onText: (text) => setPrices({ ...prices, price_in: text }) }),
        h(NumberField, { label: "Price per million tokens written", text: prices.price_out, limits: PRICE,
          placeholder: "unknown", onText: (text) => setPrices({ ...prices, price_out: text }) })),
      asked !== null && h("p", { class: `notice ${asked.encrypted ? "" : "notice-warn"}` },
        h("span", {}, "Passages of your documents will be sent to ", h("strong", { class: "break" }, asked.host),
          " when you choose it as a writer.", !asked.encrypted && " It is asked without encryption.")),
      error !== null && h(Problem, { error })));
}

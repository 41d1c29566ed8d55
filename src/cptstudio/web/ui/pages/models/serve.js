/** Serve: a model as an endpoint that other programs ask by OpenAI's API. */

import { del, get, post } from "../../lib/api.js";
import { ago, bytes, duration, integer } from "../../lib/format.js";
import { status } from "../../lib/live.js";
import { h, useEffect, useState } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { navigate } from "../../lib/router.js";
import { checkedNumber } from "../../lib/typed_number.js";
import { copying } from "../../components/announce.js";
import { confirm } from "../../components/dialog.js";
import { Badge, Button, Problem } from "../../components/elements.js";
import { Card, PageHeader } from "../../components/layout.js";
import { NumberField } from "../../components/number_field.js";
import { Skeleton } from "../../components/placeholders.js";
import { Segmented } from "../../components/segmented.js";
import { Table } from "../../components/table.js";

/** @typedef {import("./words.js").Model} Model */
/**
 * @typedef {object} Endpoint
 * @property {string} id
 * @property {string} model as clients name it
 * @property {string} label as it was chosen
 * @property {"loading"|"ready"|"unloaded"|"stopped"|"failed"} state
 * @property {boolean} alive
 * @property {string|null} address
 * @property {string|null} reason
 * @property {number} context
 * @property {number} at_once
 * @property {number} started
 * @property {number|null} ended
 * @property {number|null} memory
 * @property {number} requests
 * @property {number} tokens
 * @property {number} under_way
 * @property {number|null} last_request
 */
/** @typedef {{title: string, language: string, text: string}} Example */

const FOLLOW_MS = 2000;
/** The server's bounds; it checks them, too. */
const LIMITS = {
  port: { whole: true, least: 1024, most: 65_535 },
  at_once: { whole: true, least: 1, most: 32 },
  context: { whole: true, least: 8, most: 10_000_000 },
};

/** @type {{[state: string]: {words: string, tone: "live"|"warn"|"info"|"bad"|"quiet", icon?: string}}} */
const STATES = {
  loading: { words: "Loading", tone: "live" },
  ready: { words: "Ready", tone: "live" },
  unloaded: { words: "Unloaded", tone: "warn", icon: "memory" },
  stopped: { words: "Stopped", tone: "quiet", icon: "stop" },
  failed: { words: "Failed", tone: "bad", icon: "alert" },
};

/** @param {{state: string}} props */
const StateOf = ({ state }) => h(Badge, { tone: STATES[state].tone, icon: STATES[state].icon }, STATES[state].words);

/** The address of an endpoint's own view. @param {string} id */
export const addressOfEndpoint = (id) => `/models?${new URLSearchParams({ serve: id })}`;

/** Changes when an endpoint comes, goes, or has another state. */
const mark = () => JSON.stringify(status.value?.endpoints ?? []);

/** The tab of a model. @param {{model: Model}} props */
export function ServeSection({ model }) {
  const { data, error, reload } = useResource("/api/endpoints", undefined, mark());
  const endpoints = /** @type {Endpoint[]|null} */ (data?.endpoints ?? null);
  const mine = endpoints?.find((one) => one.label === model.reference);
  if (error) return h(Problem, { error, retry: reload });
  if (endpoints === null) return h(Skeleton, { label: "Loading endpoints…", lines: 4 });
  return h("div", { class: "stack" },
    !mine?.alive && h(StartForm, { model, started: reload }),
    mine && h(EndpointCards, { key: mine.id, id: mine.id, gone: reload }));
}

/** @param {{model: Model, started: () => void}} props */
function StartForm({ model, started }) {
  const [typed, setTyped] = useState({ port: "", at_once: "4", context: "" });
  const { busy, error, run } = useWork();
  const field = (/** @type {"port"|"at_once"|"context"} */ name, /** @type {string} */ label,
    /** @type {string} */ hint, /** @type {any} */ more = {}) =>
    h(NumberField, { label, hint, limits: LIMITS[name], text: typed[name],
      onText: (text) => setTyped((before) => ({ ...before, [name]: text })), ...more });
  const numbers = {
    port: checkedNumber(typed.port, LIMITS.port),
    at_once: checkedNumber(typed.at_once, LIMITS.at_once),
    context: checkedNumber(typed.context, LIMITS.context),
  };
  const wrong = Object.values(numbers).some((one) => one.problem !== "");
  const start = (/** @type {boolean} */ anyway) => run(async () => {
    await post("/api/endpoints", { reference: model.reference, port: numbers.port.number,
      at_once: numbers.at_once.number ?? 4, context: numbers.context.number, anyway });
    started();
  });
  return h(Card, { title: "Serve this model", icon: "serve" }, h("div", { class: "serve-body" },
    h("p", {}, "Other programs on this machine can use it through an OpenAI-compatible API. It keeps running after ",
      "you close CPT Studio, until you stop it."),
    h("div", { class: "serve-fields" },
      field("at_once", "Requests at once", "Additional requests get HTTP 429."),
      field("port", "Port", "Listens on 127.0.0.1 only.", { placeholder: "Automatic" }),
      field("context", "Context length", "Prompt plus output.",
        { unit: "tokens", placeholder: model.context_length === null ? "Automatic" : integer(model.context_length) })),
    error !== null && h(Problem, { error }),
    h("div", { class: "serve-buttons" },
      h(Button, { kind: "primary", icon: "play", busy, disabled: wrong, onClick: () => start(false) }, "Start"),
      error?.fields?.anyway && h(Button, { busy, onClick: () => start(true) }, "Start anyway"))));
}

/** All of one endpoint. @param {{id: string, gone: () => void}} props */
function EndpointCards({ id, gone }) {
  const { data, error, reload } = useResource(`/api/endpoints/one/${encodeURIComponent(id)}`, undefined, mark());
  const endpoint = /** @type {Endpoint|null} */ (data?.endpoint ?? null);
  const alive = endpoint?.alive === true;
  useEffect(() => {
    if (!alive) return undefined;
    const timer = setInterval(() => void reload(), FOLLOW_MS);
    return () => clearInterval(timer);
  }, [alive]);
  if (endpoint === null) {
    return error ? h(Problem, { error, retry: reload }) : h(Skeleton, { label: "Loading endpoint…", lines: 6 });
  }
  return h("div", { class: "stack" },
    h(EndpointCard, { endpoint, reload, gone }),
    alive && h(Examples, { examples: data.examples }),
    h(Card, { title: "Log", icon: "list" }, data.log === "" ? h("p", { class: "muted" }, "The log is empty.")
      : h("pre", { class: "log serve-log", tabIndex: 0 }, data.log)));
}

/** @param {{endpoint: Endpoint, reload: () => Promise<void>, gone: () => void}} props */
function EndpointCard({ endpoint, reload, gone }) {
  const { busy, error, run } = useWork();
  const path = `/api/endpoints/one/${encodeURIComponent(endpoint.id)}`;
  const act = (/** @type {string} */ deed) => run(async () => {
    await post(`${path}/${deed}`, {});
    await reload();
  });
  const stop = async () => {
    const agreed = endpoint.under_way === 0 || await confirm({ title: "Stop the endpoint?", confirm: "Stop",
      danger: true, body: h("p", {}, endpoint.under_way === 1 ? "1 active request will be cut off."
        : `${integer(endpoint.under_way)} active requests will be cut off.`) });
    if (agreed) await act("stop");
  };
  const now = endpoint.under_way ? `, ${integer(endpoint.under_way)} active` : "";
  const facts = [
    ["Requests", `${integer(endpoint.requests)}${now}`],
    ["Tokens generated", integer(endpoint.tokens)],
    ["Last request", endpoint.last_request === null ? null : ago(endpoint.last_request)],
    ["Requests at once", integer(endpoint.at_once)],
    ["Context length", `${integer(endpoint.context)} tokens`],
    ["Memory", endpoint.memory === null ? null : bytes(endpoint.memory)],
    ["Running for", endpoint.alive ? duration(Date.now() / 1000 - endpoint.started) : null],
  ];
  const actions = [
    endpoint.state === "unloaded" && h(Button, { key: "load", small: true, kind: "primary", icon: "play", busy,
      onClick: () => act("load") }, "Reload"),
    endpoint.alive
      ? h(Button, { key: "stop", small: true, icon: "stop", busy, onClick: stop }, "Stop")
      : h(Button, { key: "remove", small: true, icon: "trash", busy, onClick: () => run(async () => {
        await del(path, {});
        gone();
      }) }, "Remove"),
  ];
  return h(Card, { title: "Endpoint", icon: "serve", actions }, h("div", { class: "serve-body" },
    h("div", { class: "serve-head" }, h(StateOf, { state: endpoint.state }),
      endpoint.reason && h("span", { class: "break muted" }, endpoint.reason)),
    error !== null && h(Problem, { error }),
    endpoint.alive && endpoint.address !== null && h(Access, { address: endpoint.address, model: endpoint.model }),
    h("dl", { class: "serve-facts" }, facts.filter(([, value]) => value !== null).map(([title, value]) =>
      h("div", { key: title }, h("dt", {}, title), h("dd", { class: "break" }, value))))));
}

/** What clients are told. @param {{address: string, model: string}} props */
function Access({ address, model }) {
  const [key, setKey] = useState(/** @type {string|null} */ (null));
  const { busy, error, run } = useWork();
  const show = () => run(async () => setKey((await get("/api/endpoints/key")).key));
  const renew = async () => {
    await confirm({ title: "Replace the key?", confirm: "Replace", danger: true,
      body: h("p", {}, "Programs using the current key will stop working."),
      action: async () => setKey((await post("/api/endpoints/key", { confirmed: true })).key) });
  };
  return h("div", { class: "serve-access" },
    [["Base URL", address], ["Model", model]].map(([title, value]) =>
      h("div", { class: "serve-line", "data-copied": true, key: title }, h("span", { class: "muted" }, title),
        h("pre", {}, value),
        h(Button, { small: true, "aria-label": `Copy ${title}`, onClick: copying(() => value) }, "Copy"))),
    h("div", { class: "serve-line", "data-copied": true }, h("span", { class: "muted" }, "Key"),
      h("pre", {}, key ?? "•".repeat(24)),
      key === null ? h(Button, { small: true, icon: "eye", busy, onClick: show }, "Show key")
        : h("span", { class: "serve-buttons" },
          h(Button, { small: true, "aria-label": "Copy Key", onClick: copying(() => key) }, "Copy"),
          h(Button, { small: true, kind: "quiet", onClick: renew }, "Replace"))),
    error !== null && h(Problem, { error }));
}

/** @param {{examples: Example[]}} props */
function Examples({ examples }) {
  const [chosen, setChosen] = useState(examples[0]?.title ?? "");
  const example = examples.find((one) => one.title === chosen) ?? examples[0];
  if (!example) return null;
  return h(Card, { title: "Example call", icon: "file", actions: h(Segmented, { label: "Language", small: true,
    value: example.title, choices: examples.map((one) => /** @type {const} */ ([one.title, one.title])),
    onChoose: setChosen }) },
    h("div", { class: "serve-example", "data-copied": true },
      h("p", { class: "hint" }, "Reads the key from the environment variable CPT_STUDIO_KEY."),
      h("pre", { tabIndex: 0 }, example.text),
      h(Button, { small: true, onClick: copying(() => example.text) }, "Copy")));
}

/** On the list of models: what is served, where anything is. */
export function ServedModels() {
  const { data } = useResource("/api/endpoints", undefined, mark());
  const endpoints = /** @type {Endpoint[]} */ (data?.endpoints ?? []);
  if (endpoints.length === 0) return null;
  return h(Card, { title: "Endpoints", icon: "serve", flush: true, class: "card-table" },
    h(Table, { caption: "Endpoints", stacks: true, rows: endpoints, rowKey: (/** @type {Endpoint} */ one) => one.id,
      columns: [
        { id: "model", title: "Model", header: true, class: "break", cell: (/** @type {Endpoint} */ one) =>
          h("span", { class: "row" }, h("a", { href: addressOfEndpoint(one.id) }, one.model)) },
        { id: "state", title: "State", cell: (/** @type {Endpoint} */ one) => h(StateOf, { state: one.state }) },
        { id: "address", title: "Base URL", class: "break",
          cell: (/** @type {Endpoint} */ one) => (one.alive && one.address) || "" },
        { id: "requests", title: "Requests", number: true,
          cell: (/** @type {Endpoint} */ one) => integer(one.requests) },
        { id: "memory", title: "Memory", number: true,
          cell: (/** @type {Endpoint} */ one) => (one.memory === null ? "" : bytes(one.memory)) },
      ] }));
}

/** An endpoint's own view, also of a model that is not in the list. @param {{id: string}} props */
export function OneEndpoint({ id }) {
  return h("div", { class: "stack" },
    h(PageHeader, { title: h("span", { class: "name" }, id), back: { href: "/models", title: "Models" } }),
    h(EndpointCards, { id, gone: () => navigate("/models") }));
}

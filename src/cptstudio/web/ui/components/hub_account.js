/** The access token for the hub: typed once, kept by the server, never shown. */

import { del, post } from "../lib/api.js";
import { h, useState, withValue } from "../lib/preact.js";
import { useResource, useWork } from "../lib/resource.js";
import { announce } from "./announce.js";
import { confirm } from "./dialog.js";
import { Button, Field, Problem } from "./elements.js";
import { Card } from "./layout.js";

/** @typedef {{token: "environment"|"file"|null, variable: string|null, file: string, hub: string}} Account */

export function HubAccount() {
  const { data, error, reload } = useResource("/api/hub/account");
  const account = /** @type {Account|null} */ (data);
  return h(Card, { title: "Hub account", icon: "external" },
    error !== null && h(Problem, { error, retry: reload }),
    account !== null && h("div", { class: "stack" }, account.token === null
      ? h(SignIn, { account, changed: reload })
      : h(SignedIn, { account, changed: reload })));
}

/** @param {{account: Account, changed: () => void}} props */
function SignIn({ account, changed }) {
  const [token, setToken] = useState("");
  const { busy, error, run } = useWork();
  const signIn = () => run(async () => {
    const { name } = await post("/api/hub/account", { token });
    setToken("");
    announce(`Signed in as ${name}.`);
    changed();
  });
  return h("form", { class: "stack", onSubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    if (token.trim() !== "") void signIn();
  } },
    h("p", {}, "Gated and private models need an access token, and so does publishing."),
    h(Field, { label: "Access token", hint: `From ${account.hub}/settings/tokens. It is kept in ${account.file}, which `
      + "other programs that use the hub read, too.",
      control: (attributes) => h("input", { ...attributes, type: "password", class: "hub-token", autocomplete: "off",
        spellcheck: false, value: token, onInput: withValue(setToken) }) }),
    error !== null && h(Problem, { error }),
    h("div", { class: "row" },
      h(Button, { kind: "primary", type: "submit", busy, disabled: token.trim() === "" }, "Sign in")));
}

/** @param {{account: Account, changed: () => void}} props */
function SignedIn({ account, changed }) {
  const [name, setName] = useState(/** @type {string|null} */ (null));
  const { busy, error, run } = useWork();
  const ask = () => run(async () => setName((await post("/api/hub/account/name", {})).name));
  const signOut = async () => {
    await confirm({
      title: "Sign out of the hub?",
      body: `The token in ${account.file} is deleted. Other programs that use the hub read it, too.`,
      confirm: "Sign out",
      danger: true,
      action: async () => {
        const { advice } = await del("/api/hub/account", { confirmed: true });
        announce(`Signed out. ${advice}`);
      },
    });
    changed();
  };
  return [
    h("p", { key: "where", class: "break" }, account.token === "environment"
      ? `The token of the environment variable ${account.variable} is used.`
      : `A token is kept in ${account.file}.`, name !== null && ` It belongs to ${name}.`),
    error !== null && h(Problem, { key: "error", error }),
    h("div", { key: "buttons", class: "row" },
      h(Button, { busy, onClick: ask }, "Ask the hub whose it is"),
      account.token === "file" && h(Button, { kind: "danger", onClick: signOut }, "Sign out…")),
  ];
}

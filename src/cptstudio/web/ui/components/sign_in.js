import { h, useState, withValue } from "../lib/preact.js";
import { signIn, StrangerError } from "../lib/session.js";
import { Button, Field } from "./elements.js";

const WRONG = "Wrong token. Copy it from .cpt-studio/token in your workspace.";
const AWAY = "Can't reach the server. Start it, then try again.";

/** The form for the token. The page stays where it is, so what was asked for is there afterwards. */
export function SignInForm() {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await signIn(token.trim());
      setToken("");
    } catch (error) {
      setProblem(error instanceof StrangerError ? WRONG : AWAY);
    }
    setBusy(false);
  };
  return h("form", { class: "stack", onSubmit: send },
    h("p", {},
      "Open the link printed in the terminal, or paste the token from ",
      h("code", {}, ".cpt-studio/token"), " in your workspace."),
    problem && h("p", { class: "problem", role: "alert" }, problem),
    h(Field, {
      label: "Token",
      control: (attributes) => h("input", {
        ...attributes, type: "password", autocomplete: "off", spellcheck: false, required: true, value: token,
        onInput: withValue(setToken),
      }),
    }),
    h("div", {}, h(Button, { kind: "primary", type: "submit", busy }, "Sign in")));
}

/** What a browser sees that is not signed in. */
export function SignInPage() {
  return h("main", { id: "main", class: "page" },
    h("section", { class: "card stack", "aria-labelledby": "sign-in" },
      h("h1", { id: "sign-in" }, "Sign in to CPT Studio"), h(SignInForm, {})));
}

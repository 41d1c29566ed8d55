/** Publish: a model on the hub, after everything that would leave this machine was shown. */

import { post } from "../../lib/api.js";
import { bytes, integer } from "../../lib/format.js";
import { isEnded, useJob } from "../../lib/jobs.js";
import { jobs } from "../../lib/live.js";
import { h, useState, withChecked, withValue } from "../../lib/preact.js";
import { useResource, useWork } from "../../lib/resource.js";
import { announce } from "../../components/announce.js";
import { Badge, Button, Field, Icon, Problem } from "../../components/elements.js";
import { HubPage } from "../../components/hub_card.js";
import { Card } from "../../components/layout.js";
import { JobProgress } from "../../components/progress.js";
import { Segmented } from "../../components/segmented.js";
import { Table } from "../../components/table.js";

/** @typedef {import("./words.js").Model} Model */
/** @typedef {{repo_id: string, private: boolean, update: boolean, data: string, license: string}} Choices */
/**
 * @typedef {object} Preview
 * @property {string} repo_id
 * @property {boolean} private
 * @property {{path: string, size: number, sha256: string}[]} files
 * @property {number} bytes
 * @property {string} card
 * @property {string} digest
 * @property {string[]} left
 * @property {string[]} warnings
 */

/** The newest job of a kind on a model. @param {string} kind @param {string} reference */
const newest = (kind, reference) => Object.values(jobs.value)
  .filter((job) => job.kind === kind && job.about === reference)
  .sort((one, other) => other.created - one.created)[0] ?? null;

/** @param {{model: Model}} props */
export function PublishSection({ model }) {
  const { data: account } = useResource("/api/hub/account");
  const [choices, setChoices] = useState(/** @type {Choices} */ (
    { repo_id: "", private: true, update: false, data: "", license: "" }));
  const [card, setCard] = useState(/** @type {string|null} */ (null));
  const [asked, setAsked] = useState(/** @type {any} */ (null));
  const [sent, setSent] = useState(/** @type {any} */ (null));
  const { busy, error, run } = useWork();
  const previewing = useJob(asked?.job ?? null, (ended) => ended.state === "done" && announce("The preview is there."));
  const publishing = useJob(sent ?? newest("publish", model.reference), (ended) => {
    announce(`${ended.title}: ${ended.state}.`);
    if (ended.state === "done") setAsked(null);
  });
  const body = (/** @type {string|null} */ text) => ({ ...choices, model: model.reference,
    repo_id: choices.repo_id.trim(), license: choices.license.trim() || null, card: text });
  const change = (/** @type {Partial<Choices>} */ next) => {
    setChoices({ ...choices, ...next });
    // What is shown below is not what would be published any more.
    setAsked(null);
    setCard(null);
  };
  const preview = (/** @type {string|null} */ text) => run(async () => {
    const wanted = body(text);
    setAsked({ body: wanted, job: await post("/api/publish/preview", wanted) });
  });
  const shown = /** @type {Preview|null} */ (previewing?.state === "done" ? previewing.result : null);
  const publish = () => run(async () => {
    setSent(await post("/api/publish", { ...asked.body, confirmed: shown?.digest }));
  });
  const again = asked !== null && publishing !== null && ["failed", "cancelled"].includes(publishing.state);
  return h("div", { class: "stack" },
    h(Card, { title: "Publish on the hub", icon: "upload" }, h("div", { class: "stack publish-form" },
      account !== null && account.token === null && h("div", { class: "notice" }, h(Icon, { name: "info" }),
        h("div", {}, "Publishing needs an access token that may write. ",
          h("a", { href: "/models?get=1" }, "Sign in to the hub"))),
      h(Choice, { choices, change }),
      error !== null && h(Problem, { error }),
      h("div", { class: "row" },
        h(Button, { kind: shown === null ? "primary" : "plain", icon: "eye", busy,
          disabled: !choices.repo_id.includes("/"), onClick: () => preview(null) }, "Preview"),
        h("span", { class: "hint" }, "Nothing leaves this machine until you confirm the preview.")),
      previewing !== null && previewing.state !== "done" && h(JobProgress, { job: previewing }))),
    publishing !== null && h(JobProgress, { job: publishing },
      publishing.state === "done" && h("p", {}, publishing.result.private ? "Private: " : "Public: ",
        h(HubPage, { address: publishing.result.address }))),
    shown !== null && h(PreviewCard, { shown, card, setCard, again: () => preview(card) },
      h(Button, { kind: "primary", icon: "upload", busy, onClick: publish,
        disabled: card !== null || account?.token === null || (publishing !== null && !isEnded(publishing)) },
        again ? "Continue publishing" : `Publish ${shown.private ? "privately" : "publicly"}`)));
}

/** @param {{choices: Choices, change: (next: Partial<Choices>) => void}} props */
function Choice({ choices, change }) {
  return [
    h(Field, { key: "to", label: "Owner and name", hint: "Your name or organization at the hub, a slash, and the "
      + "model's name.", control: (attributes) => h("input", { ...attributes, type: "text", autocomplete: "off",
      spellcheck: false, maxLength: 200, placeholder: "ada/notes-model", value: choices.repo_id,
      onInput: withValue((repo_id) => change({ repo_id })) }) }),
    h(Segmented, { key: "private", label: "Who can see it", value: choices.private ? "private" : "public",
      choices: [["private", "Private"], ["public", "Public"]],
      onChoose: (/** @type {string} */ one) => change({ private: one === "private" }) }),
    h(Field, { key: "data", label: "Training data", hint: "For the card: what it is, and where it is from.",
      control: (attributes) => h("textarea", { ...attributes, rows: 3, maxLength: 20_000, value: choices.data,
        onInput: withValue((data) => change({ data })) }) }),
    h(Field, { key: "license", label: "License", hint: "As the hub writes it, such as apache-2.0. Empty: that of the "
      + "base model.", control: (attributes) => h("input", { ...attributes, type: "text", autocomplete: "off",
      spellcheck: false, maxLength: 60, value: choices.license,
      onInput: withValue((license) => change({ license })) }) }),
    h("div", { key: "update", class: "setting setting-check" }, h("div", { class: "setting-head" },
      h("input", { id: "publish-update", type: "checkbox", checked: choices.update,
        onChange: withChecked((update) => change({ update })) }),
      h("label", { for: "publish-update" }, "Update a repository that is there already"))),
  ];
}

/**
 * @param {{shown: Preview, card: string|null, setCard: (text: string|null) => void, again: () => void, children?: any}}
 *   props card: as it was edited
 */
function PreviewCard({ shown, card, setCard, again, children }) {
  return h(Card, { title: "What will leave this machine", icon: "eye" }, h("div", { class: "stack" },
    h("p", {}, `${integer(shown.files.length)} files, ${bytes(shown.bytes)}, to `,
      h("strong", { class: "break" }, shown.repo_id), " ",
      h(Badge, { tone: shown.private ? "quiet" : "warn" }, shown.private ? "Private" : "Public: everybody sees it")),
    shown.warnings.length > 0 && h("ul", { class: "publish-notes" },
      shown.warnings.map((warning) => h("li", { key: warning, class: "break" }, warning))),
    h(Table, { caption: "Files to publish", rows: shown.files, rowKey: (/** @type {any} */ file) => file.path,
      columns: [
        { id: "path", title: "File", header: true, class: "break", cell: (/** @type {any} */ file) => file.path },
        { id: "size", title: "Size", number: true, cell: (/** @type {any} */ file) => bytes(file.size) },
      ] }),
    shown.left.length > 0 && h("p", { class: "hint break" }, `Stays here: ${shown.left.slice(0, 20).join(", ")}.`),
    h(Field, { label: "Card", hint: "Written from the run. Edit it, then preview again.",
      control: (attributes) => h("textarea", { ...attributes, class: "publish-card", rows: 18, spellcheck: false,
        value: card ?? shown.card,
        onInput: withValue((text) => setCard(text === shown.card ? null : text)) }) }),
    h("div", { class: "row" },
      card !== null && h(Button, { icon: "eye", onClick: again }, "Preview again"), children)));
}

/**
 * The state of the New-run form: what the user chose, the plan the server makes of it, and the
 * draft that survives a reload.
 */

import { get, post, randomKey } from "../../lib/api.js";
import { computed, effect, signal } from "../../lib/preact.js";
import { readSettings } from "../../lib/settings_schema.js";
import { Drafts, PLAIN } from "./drafts.js";
import { fromTree, same, suggestName, toTree } from "./tree.js";

/** @typedef {import("../../lib/settings_schema.js").Setting} Setting */
/** @typedef {import("./tree.js").Values} Values */

/**
 * @typedef {object} Facts
 * @property {number} steps
 * @property {number} tokens
 * @property {number} tokens_per_step
 * @property {number} tokens_per_epoch
 * @property {number} epochs
 * @property {string|null} machine another machine that the plan is for
 * @property {number} parameters
 * @property {number} trained_parameters
 * @property {number} not_loaded_bytes of the model's files, such as a vision tower
 * @property {number} memory_bytes
 * @property {{weights: number, optimizer: number, gradients: number, activations: number}} memory_parts
 * @property {number} memory_available_bytes
 * @property {number} memory_room_bytes what a run is chosen to fit in
 * @property {number} disk_needed_bytes
 * @property {number|null} disk_free_bytes null for another machine
 * @property {number} checkpoint_bytes
 * @property {string|null} attention how it is computed; null where the network's graph tells the memory
 * @property {boolean} saves_in_background
 * @property {number} evaluate_every_steps
 * @property {number} save_every_steps
 * @property {number} evaluation_part time of the evaluations, relative to that of training
 */

/**
 * @typedef {{sentence: string, field: string, title: string, missing: boolean}} Finding field: dotted, "" for the whole
 */

/**
 * @typedef {{field: string, value: string, reason: string}} Choice field: dotted
 * @typedef {{title: string, note: string, changes: {[name: string]: any}, memory_bytes: number}} FitStep
 * @typedef {{steps: FitStep[], changes: {[name: string]: any}, fits: boolean, ready: boolean,
 *   sentence: string|null}} WayToFit
 */

/**
 * @typedef {object} Plan
 * @property {unknown} settings resolved, null where the settings cannot be read
 * @property {Facts|null} facts
 * @property {Finding[]} warnings what to consider, and the field to change
 * @property {Choice[]} choices what was chosen, and why
 * @property {WayToFit|null} make_it_fit null where the run fits
 * @property {Finding[]} findings what stands in its way
 * @property {string[]} untokenized corpora without tokens for the model's tokenizer
 * @property {string|null} command
 * @property {string|null} yaml
 */

/** Milliseconds without typing before a plan is asked for. */
const PAUSE = 250;

/**
 * Where a form begins: nothing, the settings of an old run, or one of its checkpoints.
 * @typedef {{from: string|null, checkpoint: string|null, corpus: string|null, model: string|null, replay: string|null,
 *   length: string|null}} Origin
 * corpus: the domain to begin with; model, replay and length the same, where a link names them
 */

export class NewRunForm {
  /** @param {Origin} origin @param {string} draft id of the draft that this form keeps */
  constructor(origin, draft) {
    this.origin = origin;
    this.draft = draft;
    /** @type {import("../../lib/preact.js").Signal<Setting[]|null>} */
    this.settings = signal(null);
    /** Groups of settings that a fork shares with its parent. */
    this.fixedInFork = new Set(/** @type {string[]} */ ([]));
    /** Settings of these that a fork may change all the same. */
    this.freeInFork = new Set(/** @type {string[]} */ ([]));
    /** @type {import("../../lib/preact.js").Signal<Values>} */
    this.values = signal({});
    /** What the form begins with: the preferences, or the old run's values; a fork sends what differs. */
    this.firstValues = /** @type {Values} */ ({});
    /** @type {import("../../lib/preact.js").Signal<Plan|null>} */
    this.plan = signal(null);
    this.planning = signal(false);
    /** Whether the page was left. */
    this.closed = signal(false);
    /** @type {import("../../lib/preact.js").Signal<unknown>} */
    this.planError = signal(null);
    /** @type {import("../../lib/preact.js").Signal<unknown>} */
    this.loadError = signal(null);
    /** Measured seconds of a step with these settings; null where they were not measured. */
    this.perStep = signal(/** @type {number|null} */ (null));
    /** The name as typed; null means the suggestion. */
    this.ownName = signal(/** @type {string|null} */ (null));
    /** Another machine to plan for, as typed; empty for this one. Start is always here. */
    this.machine = signal("");
    this.takenNames = signal(/** @type {ReadonlySet<string>} */ (new Set()));
    /** Fields are marked wrong only after something was chosen, or after an attempt to start. */
    this.attempted = signal(false);

    this.suggestion = computed(() => suggestName(this.values.value, this.takenNames.value));
    this.name = computed(() => this.ownName.value ?? this.suggestion.value);
    this.byName = computed(() => new Map((this.settings.value ?? []).map((one) => [one.name, one])));
    this.resolved = computed(() => flatten(this.plan.value?.settings, this.settings.value ?? []));
    this.ready = computed(() => this.settings.value !== null);

    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this._timer = undefined;
    this._asked = 0;
    this._drafts = new Drafts(sessionStorage);
    /** When the draft that the form began with was kept; null where it began without one. */
    this.restored = signal(/** @type {number|null} */ (null));
    /** A draft that was begun elsewhere, to go on with. */
    this.offered = signal(/** @type {ReturnType<Drafts["newestBesides"]>} */ (null));
    /** Steps that were left forwards: what they lack is said. */
    this.left = signal(/** @type {ReadonlySet<string>} */ (new Set()));
    /** The control that is to have the focus once it is drawn; each wish is a new one. */
    this.focusOn = signal(/** @type {{id: string}|null} */ (null));
    /** Groups of the advanced settings that are open. */
    this.openGroups = signal(/** @type {ReadonlySet<string>} */ (new Set()));
  }

  get fork() {
    return this.origin.from !== null && this.origin.checkpoint !== null;
  }

  /** Read the schema, the old run, the draft and the names that are taken. */
  async load() {
    this.loadError.value = null;
    try {
      const [schema, runs, parent, preferences] = await Promise.all([
        get("/api/settings-schema"),
        get("/api/runs"),
        this.origin.from === null ? null : get(`/api/runs/${encodeURIComponent(this.origin.from)}`),
        this.origin.from === null ? get("/api/preferences") : null,
      ]);
      const settings = readSettings(schema);
      this.fixedInFork = new Set(schema.fixed_in_fork);
      this.freeInFork = new Set(schema.free_in_fork);
      const names = [...runs.runs, ...(runs.imported ?? [])].map((/** @type {{id: string}} */ run) => run.id);
      this.takenNames.value = new Set(names);
      if (parent !== null) {
        if (!parent.config) throw new Error("This run has no readable configuration, so its settings can't be "
          + "duplicated.");
        this.firstValues = fromTree(parent.config.settings, settings);
      } else {
        this.firstValues = preferred(preferences, settings);
      }
      const draft = this._drafts.find(this.draft);
      this.values.value = draft?.values ?? { ...this.firstValues };
      if (draft === null) this._begin();
      this.ownName.value = draft?.name ?? null;
      this.restored.value = draft?.saved ?? null;
      this.offered.value = draft === null ? this._drafts.newestBesides(this.draft) : null;
      this.settings.value = settings;
      this.ask(0);
    } catch (error) {
      this.loadError.value = error;
    }
  }

  /** Take over what the link to this page names. */
  _begin() {
    const { corpus, model, replay, length } = this.origin;
    const mixture = [];
    if (corpus !== null) mixture.push({ name: corpus, role: "domain", weight: 1 });
    if (replay !== null) mixture.push({ name: replay, role: "replay", weight: 1 });
    this.values.value = {
      ...this.values.value,
      ...(mixture.length === 0 ? {} : { "data.corpora": mixture }),
      ...(model === null ? {} : { "model.path": model }),
      ...(length === null ? {} : { length }),
    };
  }

  /** Whether a setting may be changed here. @param {string} name */
  fixed(name) {
    return this.fork && this.fixedInFork.has(name.split(".")[0] ?? "") && !this.freeInFork.has(name);
  }

  /** Whether a setting was chosen by the user. @param {string} name */
  chosen(name) {
    return name in this.values.value;
  }

  /** Choose a value; null or the default takes the choice back. @param {string} name @param {unknown} value */
  set(name, value) {
    const setting = this.byName.value.get(name);
    const { [name]: former, ...others } = this.values.value;
    const isDefault = setting !== undefined && setting.initial !== undefined && same(value, setting.initial);
    const none = value === null || value === undefined;
    this.values.value = none || isDefault ? others : { ...this.values.value, [name]: value };
    this.changed();
  }

  /** Take the choice of a setting back. @param {string} name */
  reset(name) {
    this.set(name, null);
  }

  /** Take all settings from a tree. @param {unknown} tree */
  replace(tree) {
    this.take(fromTree(tree, this.settings.value ?? []));
  }

  /** @param {Values} values all of them, by dotted name */
  take(values) {
    this.values.value = values;
    this.changed();
  }

  /** Forget the draft and begin again. */
  startOver() {
    this.values.value = { ...this.firstValues };
    this.ownName.value = null;
    this.attempted.value = false;
    this.left.value = new Set();
    this.restored.value = null;
    this.machine.value = "";
    this.forget();
    this.ask(0);
  }

  /** @param {string} name */
  rename(name) {
    this.ownName.value = name === "" ? null : name;
    this.changed();
  }

  /** @param {string} machine as typed */
  planFor(machine) {
    this.machine.value = machine;
    this.ask(PAUSE);
  }

  changed() {
    this._keep();
    this.ask(PAUSE);
  }

  /**
   * Ask for a plan after a pause. An answer that is not the newest one is dropped.
   * @param {number} pause milliseconds
   */
  ask(pause) {
    clearTimeout(this._timer);
    this._asked += 1;
    const number = this._asked;
    this.planning.value = true;
    this._timer = setTimeout(async () => {
      try {
        const machine = this.machine.value.trim() || null;
        const plan = await post("/api/plan", { settings: this.tree(), name: this.name.value, machine });
        if (number !== this._asked) return;
        this.plan.value = plan;
        this.planError.value = null;
      } catch (error) {
        if (number !== this._asked) return;
        this.planError.value = error;
      }
      this.planning.value = false;
    }, pause);
  }

  /**
   * Wait until the plan is that of the newest choices, or could not be made.
   * @returns {Promise<boolean>} false when the page was left meanwhile
   */
  planned() {
    return new Promise((resolve) => {
      const stop = effect(() => {
        if (this.planning.value && !this.closed.value) return;
        resolve(!this.closed.value);
        queueMicrotask(() => stop());
      });
    });
  }

  /** What is sent. */
  tree() {
    return toTree(this.values.value);
  }

  /** What a fork changes against its parent, by dotted name; null where it goes back to a default. */
  changes() {
    /** @type {Values} */
    const changes = {};
    for (const setting of this.settings.value ?? []) {
      const mine = this.values.value[setting.name] ?? setting.initial;
      const theirs = this.firstValues[setting.name] ?? setting.initial;
      if (!same(mine, theirs)) changes[setting.name] = mine;
    }
    return changes;
  }

  /** Stop asking; the page is left. */
  close() {
    clearTimeout(this._timer);
    this._asked += 1;
    this.closed.value = true;
  }

  /** Put the own draft away. */
  forget() {
    this._drafts.forget(this.draft);
  }

  /** Put the draft of another address away. */
  refuseOffered() {
    const offered = this.offered.value;
    if (offered !== null) this._drafts.forget(offered.id);
    this.offered.value = null;
  }

  /** Whether a group of advanced settings is open. @param {string} group @param {boolean} open */
  openGroup(group, open) {
    const others = [...this.openGroups.value].filter((one) => one !== group);
    this.openGroups.value = new Set(open ? [...others, group] : others);
  }

  _keep() {
    const url = new URL(location.href);
    for (const name of VIEW) url.searchParams.delete(name);
    this._drafts.keep(this.draft, { values: this.values.value, name: this.ownName.value,
      url: url.pathname + url.search, saved: Date.now() });
  }
}

/** Parts of the address that say how the form is shown, not where it begins. */
const VIEW = ["step", "view"];

/**
 * Which draft the page at this entry of the history has. Where the address names something to begin with, it is the
 * entry's own: a reload finds the draft, and the same link, followed again, begins anew.
 * @param {Origin} origin @returns {string}
 */
export function draftOf(origin) {
  const kept = history.state?.draft;
  if (typeof kept === "string") return kept;
  if (Object.values(origin).every((one) => one === null)) return PLAIN;
  const made = randomKey();
  history.replaceState({ ...history.state, draft: made }, "");
  return made;
}

/**
 * Which checkpoints stay, as the workspace's preferences say.
 * @param {Values} preferences @param {readonly Setting[]} settings @returns {Values}
 */
function preferred(preferences, settings) {
  const names = new Set(settings.map((setting) => setting.name));
  const given = Object.entries(preferences).filter(([name]) => names.has(`checkpoints.${name}`));
  return fromTree({ checkpoints: Object.fromEntries(given) }, settings);
}

/**
 * All values of a resolved tree by dotted name, those that equal the default included.
 * @param {unknown} tree @param {readonly Setting[]} settings @returns {Values}
 */
function flatten(tree, settings) {
  /** @type {Values} */
  const values = {};
  for (const setting of settings) {
    /** @type {unknown} */
    let place = tree;
    for (const part of setting.name.split(".")) {
      place = place !== null && typeof place === "object" ? /** @type {Values} */ (place)[part] : undefined;
    }
    if (place !== undefined) values[setting.name] = place;
  }
  return values;
}

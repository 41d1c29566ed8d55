/**
 * The state of the New-run form: what the user chose, the plan the server makes of it, and the
 * draft that survives a reload.
 */

import { get, post, randomKey } from "../../lib/api.js";
import { computed, effect, signal } from "../../lib/preact.js";
import { readSettings } from "../../lib/settings_schema.js";
import { corporaOf, fromTree, same, suggestName, toTree } from "./tree.js";

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
 * @property {number} memory_available_bytes
 * @property {number} disk_needed_bytes
 * @property {number|null} disk_free_bytes null for another machine
 * @property {number} checkpoint_bytes
 * @property {boolean} saves_in_background
 * @property {number} evaluate_every_steps
 * @property {number} save_every_steps
 * @property {number} evaluation_part time of the evaluations, relative to that of training
 */

/**
 * @typedef {{sentence: string, field: string, title: string, missing: boolean}} Finding field: dotted, "" for the whole
 */

/**
 * @typedef {object} Plan
 * @property {unknown} settings resolved, null where the settings cannot be read
 * @property {Facts|null} facts
 * @property {string[]} warnings
 * @property {Finding[]} findings what stands in its way
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
  /** @param {Origin} origin */
  constructor(origin) {
    this.origin = origin;
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
    this._key = `cpt-studio.new-run.${origin.from ?? ""}.${origin.checkpoint ?? ""}${entryOf(origin)}`;
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
        if (!parent.config) throw new Error("The configuration of this run is not known, so it cannot be taken over.");
        this.firstValues = fromTree(parent.config.settings, settings);
      } else {
        this.firstValues = preferred(preferences, settings);
      }
      const draft = this._draft();
      this.values.value = draft?.values ?? { ...this.firstValues };
      if (draft === null) this._begin();
      this.ownName.value = draft?.name ?? null;
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
    this.values.value = fromTree(tree, this.settings.value ?? []);
    this.changed();
  }

  /** Forget the draft and begin again. */
  startOver() {
    this.values.value = { ...this.firstValues };
    this.ownName.value = null;
    this.attempted.value = false;
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

  /** What is sent: a row without a corpus yet is not part of the mixture. */
  tree() {
    const { "data.corpora": _, ...others } = this.values.value;
    const uses = corporaOf(this.values.value).filter((use) => use.name !== "");
    return toTree(uses.length === 0 ? others : { ...others, "data.corpora": uses });
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

  forget() {
    sessionStorage.removeItem(this._key);
  }

  _keep() {
    const draft = { values: this.values.value, name: this.ownName.value };
    sessionStorage.setItem(this._key, JSON.stringify(draft));
  }

  /** @returns {{values: Values, name: string|null}|null} */
  _draft() {
    try {
      const draft = JSON.parse(sessionStorage.getItem(this._key) ?? "null");
      const usable = draft !== null && typeof draft === "object" && draft.values !== null
        && typeof draft.values === "object";
      return usable ? { values: draft.values, name: typeof draft.name === "string" ? draft.name : null } : null;
    } catch {
      return null;
    }
  }
}

/**
 * What tells the draft of a link that names something: it is the page's entry in the history, so
 * that a reload finds the draft and the same link, followed again, begins anew.
 * @param {Origin} origin
 */
function entryOf({ corpus, model, replay, length }) {
  if ([corpus, model, replay, length].every((one) => one === null)) return "";
  const entry = history.state?.draft ?? randomKey();
  history.replaceState({ ...history.state, draft: entry }, "");
  return `.${entry}`;
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

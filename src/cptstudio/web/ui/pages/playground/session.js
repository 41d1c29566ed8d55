/** What the playground holds while the page lives: its texts, and the work on them. */
import { announce } from "../../components/announce.js";
import { ApiError } from "../../lib/api.js";
import { cancelTask, complete, follow, load, refreshInference } from "../../lib/inference.js";
import { batch, signal } from "../../lib/preact.js";
import { route } from "../../lib/router.js";
import { MadeText } from "./made_text.js";
import { samplingIsGood, samplingOf } from "./sampling.js";

/** @typedef {import("./made_text.js").Prompt} Prompt */
/** @typedef {import("./made_text.js").Piece} Piece */
/** @typedef {import("../../lib/inference.js").Task} Task */
/** @typedef {import("../../lib/inference.js").Alternative} Alternative */
/** @typedef {{text: MadeText, prompt: Prompt, seed: number}} Target a text and what it is asked */
/** @typedef {{message: string, problems: string[]}} Notice */

const ALTERNATIVES = 10;

/** What the form says: a text goes on as its reader wants it now. */
const samplingNow = () => samplingOf(route.peek().query);

const WRONG = { message: "Fix the highlighted setting under Sampling.", problems: [] };

const many = (/** @type {number} */ count) => (count === 1 ? "1 output" : `${count} outputs`);

/** Without a character that was only begun: it is made again as a whole. @param {Piece[]} pieces */
function wholeCharacters(pieces) {
  let count = pieces.length;
  while (count > 0 && pieces[count - 1].text === "") count -= 1;
  return pieces.slice(0, count);
}

/** @param {unknown} error @returns {Notice} */
function noticeOf(error) {
  if (error instanceof ApiError && error.status === 404) {
    return {
      message: "The server was restarted, so this generation stopped. The output so far is kept. Generate again to "
        + "continue.",
      problems: [],
    };
  }
  const said = /** @type {any} */ (error);
  return { message: said?.message || String(error), problems: said?.problems || [] };
}

/** The texts of the page and the work on them; one for the page's whole life. */
export class Session {
  constructor() {
    /** Label by label, within it seed by seed. */
    this.texts = signal(/** @type {MadeText[]} */ ([]));
    this.seeds = signal(/** @type {number[]} */ ([]));
    this.notice = signal(/** @type {Notice | null} */ (null));
    /** The running load, or null. */
    this.loading = signal(/** @type {Task | null} */ (null));
    /** How many tasks are at work. */
    this.busy = signal(0);
    /** Counts up when a text was made: the history has more. */
    this.made = signal(0);
    /** @type {Set<string>} */
    this.tasks = new Set();
    this.stopping = false;
  }

  /**
   * Bring models into memory that are not there.
   * @param {string[]} references @param {boolean} keep whether others stay there
   * @returns {Promise<boolean>} whether all are there now
   */
  async ensure(references, keep) {
    // Asked anew, since the process may have ended a moment ago.
    const all = async () => {
      const state = await refreshInference();
      const there = state?.running ? state.models.map((model) => model.label) : [];
      return references.every((one) => there.includes(one));
    };
    if (await all()) return true;
    await this.followLoad(await load(references, keep));
    return all();
  }

  /** @param {Task} task */
  async followLoad(task) {
    this.loading.value = task;
    announce("Loading models.");
    try {
      const end = await follow(task.id, (news) => { this.loading.value = news; });
      if (end.state === "failed") {
        this.notice.value = { message: end.error || "Couldn't load the models.", problems: end.problems };
      }
      announce(end.state === "done" ? "Models loaded." : "Models not loaded.");
    } catch (error) {
      this.notice.value = noticeOf(error);
    } finally {
      this.loading.value = null;
      await refreshInference();
    }
  }

  /**
   * A text of each model and seed. Where a text of the same model stands, undo brings it back.
   *
   * @param {string[]} labels @param {number[]} seeds @param {any} sampling
   * @param {(label: string, text: MadeText | undefined) => Prompt} promptOf
   */
  generate(labels, seeds, sampling, promptOf) {
    const former = this.texts.value;
    const seen = new Map();
    const targets = labels.flatMap((label) => seeds.map((seed) => {
      const index = seen.get(label) ?? 0;
      seen.set(label, index + 1);
      const there = former.filter((text) => text.label === label)[index];
      return { text: there ?? new MadeText(label), prompt: promptOf(label, there), seed };
    }));
    this.texts.value = targets.map((target) => target.text);
    this.seeds.value = seeds;
    for (const { text, prompt, seed } of targets) text.begin({ seed, origin: prompt, sampling });
    const prompts = labels.map((_, index) => targets[index * seeds.length].prompt);
    const same = prompts.every((prompt) => JSON.stringify(prompt) === JSON.stringify(prompts[0]));
    return this.run({ labels, prompts: same ? prompts.slice(0, 1) : prompts, sampling,
      seeds: seeds.length > 1 ? seeds : [] }, targets.map((target) => target.text), false);
  }

  /** One text again. @param {MadeText} text @param {number} seed */
  regenerate(text, seed) {
    const state = text.state;
    if (state && this.good()) {
      const sampling = { ...samplingNow(), seed };
      text.begin({ seed, origin: state.origin, sampling });
      void this.run({ labels: [text.label], prompts: [state.origin], sampling, seeds: [] }, [text]);
    }
  }

  /** Whether the form's sampling can be asked; says so where it cannot. */
  good() {
    const good = samplingIsGood(route.peek().query);
    if (!good) this.notice.value = WRONG;
    return good;
  }

  /** Go on from what is there. @param {MadeText[]} texts */
  goOn(texts) {
    if (!this.good()) return;
    // One task for each seed: a task has one sampling for all its texts.
    for (const seed of new Set(texts.map((text) => text.state?.seed))) {
      const able = texts.filter((text) => text.canContinue && text.state?.seed === seed);
      const kept = able.map((text) => wholeCharacters(text.state?.pieces ?? []));
      const prompts = able.map((text, index) =>
        ({ tokens: /** @type {number[]} */ (text.tokens(kept[index].length)) }));
      const given = able[0]?.state;
      if (given) {
        const sampling = samplingNow();
        able.forEach((text, index) => {
          const state = /** @type {import("./made_text.js").State} */ (text.state);
          text.begin({ seed: state.seed, origin: state.origin, sampling }, kept[index]);
        });
        // Another draw than at the beginning, and the same one whenever it is repeated.
        const drawn = (given.seed + given.pieces.length) % 2 ** 32;
        void this.run({ labels: able.map((text) => text.label), prompts, sampling: { ...sampling, seed: drawn },
          seeds: [], remember: false }, able);
      }
    }
  }

  /**
   * Take another token at a place, and go on from there.
   *
   * @param {MadeText} text @param {number} index @param {Alternative} alternative
   */
  replace(text, index, alternative) {
    const state = text.state;
    const before = text.tokens(index);
    if (!state || !before || text.running.value || !this.good()) return;
    const replaced = state.pieces[index];
    /** @type {Piece} */
    const chosen = { ...replaced, ...alternative, finish: null, chosen: true };
    const sampling = { ...samplingNow(), seed: state.seed };
    text.begin({ seed: state.seed, origin: state.origin, sampling }, [...state.pieces.slice(0, index), chosen]);
    void this.run({ labels: [text.label], prompts: [{ tokens: [...before, alternative.token] }], sampling, seeds: [],
      remember: false }, [text]);
  }

  /**
   * @param {any} ask @param {MadeText[]} targets of the task, in its order
   * @param {boolean} keep whether models that it does not need stay in memory
   */
  async run(ask, targets, keep = true) {
    this.notice.value = null;
    this.stopping = false;
    this.busy.value += 1;
    let id = "";
    try {
      if (!(await this.ensure(ask.labels, keep)) || this.stopping) {
        batch(() => targets.forEach((text) => text.end(this.stopping ? "cancelled" : "failed", null, null)));
        return;
      }
      targets.forEach((text) => { text.asked = performance.now(); });
      announce(`Generating ${many(targets.length)}.`);
      const task = await complete({ alternatives: ALTERNATIVES, remember: true, ...ask });
      id = task.id;
      this.tasks.add(id);
      if (this.stopping) void cancelTask(id);
      await this.followTexts(id, targets);
    } catch (error) {
      this.fail(noticeOf(error), targets);
    } finally {
      this.tasks.delete(id);
      this.busy.value -= 1;
      this.made.value += 1;
      void refreshInference();
    }
  }

  /** @param {string} id @param {MadeText[]} targets */
  async followTexts(id, targets) {
    const end = await follow(id, (news) => take(news, targets));
    if (end.state === "failed") {
      this.fail({ message: end.error || "Generation failed.", problems: end.problems }, targets);
      return;
    }
    const facts = end.result?.texts;
    batch(() => targets.forEach((text, index) =>
      text.end("cancelled", facts?.[index], end.result?.memory_active ?? null)));
    announce(end.state === "cancelled" || !facts
      ? "Stopped. The output so far is kept."
      : `${many(targets.length)} finished.`);
  }

  /** @param {Notice} notice @param {MadeText[]} targets */
  fail(notice, targets) {
    batch(() => {
      targets.forEach((text) => text.end("failed", null, null));
      this.notice.value = notice;
    });
    void refreshInference();
  }

  /** Ask for no more of anything. */
  stop() {
    this.stopping = true;
    const loading = this.loading.peek();
    for (const id of [...this.tasks, ...(loading ? [loading.id] : [])]) {
      cancelTask(id).catch((error) => { this.notice.value = noticeOf(error); });
    }
  }

  /** Take up work that began before the page was loaded. @param {Task[]} tasks what is running */
  takeUp(tasks) {
    const loading = tasks.find((task) => task.kind === "load");
    if (loading && !this.loading.value) void this.followLoad(loading);
    const writing = tasks.filter((task) => task.kind === "complete" && task.ask?.remember && !this.tasks.has(task.id));
    if (this.texts.value.length || this.busy.value || writing.length !== 1) return;
    const [{ id, ask }] = writing;
    const seeds = ask.seeds?.length ? ask.seeds : [ask.sampling.seed];
    const texts = /** @type {MadeText[]} */ ([]);
    ask.labels.forEach((/** @type {string} */ label, /** @type {number} */ place) => {
      for (const seed of seeds) {
        const text = new MadeText(label);
        text.begin({ seed, origin: asked(ask.prompts[ask.prompts.length === 1 ? 0 : place]), sampling: ask.sampling });
        texts.push(text);
      }
    });
    this.texts.value = texts;
    this.seeds.value = seeds;
    this.tasks.add(id);
    this.busy.value += 1;
    this.followTexts(id, texts).catch((error) => this.fail(noticeOf(error), texts)).finally(() => {
      this.tasks.delete(id);
      this.busy.value -= 1;
      this.made.value += 1;
    });
  }

  /** Show texts of the history. @param {any} entry */
  restore(entry) {
    const labels = [...new Set(entry.texts.map((/** @type {any} */ one) => one.label))];
    this.texts.value = entry.texts.map((/** @type {any} */ one) => {
      const text = new MadeText(one.label);
      const origin = asked(entry.prompts[entry.prompts.length === 1 ? 0 : labels.indexOf(one.label)]
        ?? entry.prompts[0]);
      text.restore(one, origin, entry.sampling);
      return text;
    });
    this.seeds.value = entry.seeds?.length ? entry.seeds : [entry.sampling?.seed ?? 0];
    this.notice.value = null;
  }
}

/** The one thing of a prompt that is given. @param {any} prompt @returns {Prompt} */
export function asked(prompt) {
  if (prompt?.chat) return { chat: prompt.chat };
  return prompt?.tokens ? { tokens: prompt.tokens } : { text: prompt?.text ?? "" };
}

/** @param {Task} news @param {MadeText[]} targets */
function take(news, targets) {
  batch(() => {
    news.texts?.forEach((told, index) => targets[index]?.takePrompt(told));
    /** @type {Map<number, Piece[]>} */
    const byText = new Map();
    for (const piece of news.pieces) {
      const own = byText.get(piece.text_number);
      if (own) {
        own.push(piece);
      } else {
        byText.set(piece.text_number, [piece]);
      }
    }
    for (const [number, pieces] of byText) targets[number]?.add(pieces);
  });
}

export const session = new Session();

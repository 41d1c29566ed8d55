/** A conversation that up to three models answer, each in a lane of its own. */
import { toast } from "../../components/announce.js";
import { saidAgain } from "../../lib/answer_parts.js";
import { get } from "../../lib/api.js";
import { signal } from "../../lib/preact.js";
import { route } from "../../lib/router.js";
import { MadeText } from "./made_text.js";
import { system } from "./prompt_state.js";
import { samplingOf } from "./sampling.js";
import { session } from "./session.js";

/** @typedef {import("../../lib/answer_parts.js").Tags} Tags */
/** @typedef {import("../../lib/answer_parts.js").Message} Message */
/** @typedef {{id: number, message: string, answers: MadeText[]}} Exchange a message, and an answer of each lane */

export const MOST_LANES = 3;

/** Tags around the parts of answers; empty until the server has told them. */
export const tags = signal(/** @type {Tags} */ ([]));
let asked = false;

/** Have the tags there. */
export async function askTags() {
  if (asked) return;
  asked = true;
  try {
    tags.value = (await get("/api/chat/tags")).tags;
  } catch {
    // Answers are shown in one piece meanwhile.
    asked = false;
  }
}

/** The answer of a lane; one that joined later sees those of the first.
 *  @param {Exchange} exchange @param {string} label */
export const answerOf = (exchange, label) =>
  exchange.answers.find((answer) => answer.label === label) ?? exchange.answers[0];

let made = 0;
/** @param {string} message @param {MadeText[]} answers @returns {Exchange} */
const exchangeOf = (message, answers) => ({ id: made += 1, message, answers });

/** What a text says, for the next prompt. @param {MadeText} answer @returns {Message} */
function saidBy(answer) {
  const { state } = answer;
  if (!state) return { role: "assistant", content: "" };
  return state.finish === "edited" ? { role: "assistant", content: state.string }
    : saidAgain(state.string, tags.peek(), state.opens);
}

export class Chat {
  constructor() {
    this.exchanges = signal(/** @type {Exchange[]} */ ([]));
  }

  /** What a lane is asked at a place: all that was said before, and the message. @param {number} place
   *  @param {string} label @returns {Message[]} */
  messages(place, label) {
    const given = this.exchanges.peek();
    const before = given.slice(0, place).flatMap((exchange) => {
      const answer = answerOf(exchange, label);
      return [{ role: "user", content: exchange.message }, ...(answer ? [saidBy(answer)] : [])];
    });
    const instruction = system.peek().trim() ? [{ role: "system", content: system.peek() }] : [];
    return [...instruction, ...before, { role: "user", content: given[place].message }];
  }

  /** Ask all lanes. @param {string} message @param {string[]} labels */
  send(message, labels) {
    this.exchanges.value = [...this.exchanges.value, exchangeOf(message, labels.map((label) => new MadeText(label)))];
    this.ask(this.exchanges.value.length - 1);
  }

  /** @param {number} place of the exchange @param {number=} seed */
  ask(place, seed) {
    const { answers } = this.exchanges.peek()[place];
    const sampling = { ...samplingOf(route.peek().query), ...(seed === undefined ? {} : { seed }) };
    const prompts = answers.map((answer) => ({ chat: this.messages(place, answer.label) }));
    answers.forEach((answer, index) => answer.begin({ seed: sampling.seed, origin: prompts[index], sampling }));
    const same = prompts.every((prompt) => JSON.stringify(prompt) === JSON.stringify(prompts[0]));
    void session.run({ labels: answers.map((answer) => answer.label), prompts: same ? prompts.slice(0, 1) : prompts,
      sampling, seeds: [] }, answers, false);
  }

  /** One answer once more; what came after it goes.
   *  @param {number} place @param {MadeText} answer @param {number} seed */
  regenerate(place, answer, seed) {
    if (!session.good()) return;
    this.cut(place, "Answer regenerated");
    const sampling = { ...samplingOf(route.peek().query), seed };
    const prompt = { chat: this.messages(place, answer.label) };
    answer.begin({ seed, origin: prompt, sampling });
    void session.run({ labels: [answer.label], prompts: [prompt], sampling, seeds: [] }, [answer]);
  }

  /** Another message in this place, answered anew. @param {number} place @param {string} message */
  editMessage(place, message) {
    if (!session.good()) return;
    const former = this.exchanges.peek();
    const answers = former[place].answers.map((answer) => new MadeText(answer.label));
    this.cut(place, "Message changed", [...former.slice(0, place), exchangeOf(message, answers)], true);
    this.ask(place);
  }

  /** All lanes once more. @param {number} place @param {number} seed */
  askAgain(place, seed) {
    if (!session.good()) return;
    this.cut(place, "Asked again");
    this.ask(place, seed);
  }

  /** Another answer in this place, written by the user. @param {number} place @param {MadeText} answer
   *  @param {string} text */
  editAnswer(place, answer, text) {
    const former = this.exchanges.peek();
    const written = new MadeText(answer.label);
    written.restore({ ...answer.state, text, finish: "edited", ended_by: null },
      answer.state?.origin ?? { text: "" }, answer.state?.sampling);
    const answers = former[place].answers.map((one) => (one === answer ? written : one));
    this.cut(place, "Answer changed", [...former.slice(0, place), { ...former[place], answers }], true);
  }

  /**
   * Let go of what came after a place; a note offers it back.
   * @param {number} place @param {string} deed @param {Exchange[]=} now @param {boolean=} always offer it in any case
   */
  cut(place, deed, now, always = false) {
    const former = this.exchanges.peek();
    const gone = former.length - place - 1;
    this.exchanges.value = now ?? former.slice(0, place + 1);
    if (!gone && !always) return;
    const removed = gone ? `; ${gone} later ${gone === 1 ? "message" : "messages"} removed` : "";
    toast(`${deed}${removed}.`, "good", { seconds: 30, action: { words: "Undo", run: () => {
      session.stop();
      this.exchanges.value = former;
    } } });
  }

  /** Begin anew. */
  clear() {
    const former = this.exchanges.peek();
    this.exchanges.value = [];
    if (former.length) {
      toast("New conversation.", "good", { seconds: 30,
        action: { words: "Undo", run: () => { this.exchanges.value = former; } } });
    }
  }

  /** Show a conversation of the history, or one whose answers are still being made. @param {MadeText[]} texts */
  adopt(texts) {
    const origins = texts.map(({ state }) => (state && "chat" in state.origin ? state.origin.chat : []));
    /** @type {Exchange[]} */
    const found = [];
    const said = origins.map((messages) => turnsOf(messages));
    said[0]?.forEach(({ message }, place) => {
      const last = place === said[0].length - 1;
      found.push(exchangeOf(message, last ? texts : texts.map((text, lane) => {
        const former = new MadeText(text.label);
        former.restore({ text: said[lane][place]?.answer ?? "", seed: text.state?.seed, finish: "earlier" },
          text.state?.origin ?? { text: "" }, text.state?.sampling);
        return former;
      })));
    });
    system.value = origins[0]?.find((message) => message.role === "system")?.content ?? "";
    this.exchanges.value = found;
  }
}

/** Messages and their answers. @param {Message[]} messages */
function turnsOf(messages) {
  /** @type {{message: string, answer: string}[]} */
  const turns = [];
  for (const one of messages) {
    if (one.role === "user") turns.push({ message: one.content, answer: "" });
    const last = turns[turns.length - 1];
    if (one.role === "assistant" && last) {
      last.answer = one.reasoning_content ? `<think>${one.reasoning_content}</think>\n${one.content}` : one.content;
    }
  }
  return turns;
}

export const chat = new Chat();

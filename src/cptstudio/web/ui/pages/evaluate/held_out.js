/** How much held-out text is measured, and how: a test holds this to `evaluation/model_requests.py`. */

export const USUAL_BYTES = 400_000;
export const BYTES = { whole: true, least: 1000, most: 1e12, unit: "bytes" };
export const CONTEXT = { whole: true, least: 8, most: 10_000_000, unit: "tokens" };
export const STRIDE = { whole: true, least: 1, most: 10_000_000, unit: "tokens" };
/** As in `evaluation/merging.py`. */
export const USUAL_SHARES = "0, 0.25, 0.5, 0.75, 1";
/** As in `evaluation/chat_again.py`. */
export const USUAL_STRENGTHS = "0.5, 0.75, 1, 1.25";
export const USUAL_ANSWER_TOKENS = 200;
export const ANSWER_TOKENS = { whole: true, least: 8, most: 4096, unit: "tokens" };

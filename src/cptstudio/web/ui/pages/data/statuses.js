/** What becomes of a document, in words: the split it is in, or why it was removed. */

export const SPLITS = new Map([["train", "Training"], ["validation", "Validation"], ["test", "Test"]]);

export const REASONS = new Map([["exact duplicate", "Exact duplicate"], ["near duplicate", "Near-duplicate"],
  ["overlap with held-out", "Too similar to a validation or test document"]]);

/** @param {string} status */
export const statusTitle = (status) => SPLITS.get(status) ?? `Removed: ${REASONS.get(status)?.toLowerCase() ?? status}`;

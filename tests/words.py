"""Words and sentences that no page, message, command or document has any more.

Each stood there once and read like a translation; the comments name what stands there now. A term
that comes back in a new place is found by `test_words` in the sources, and by the pages' test of
the same name where it is put together from parts.
"""

from __future__ import annotations

from typing import Final

LABELS: Final = (
    "Accumulation",  # Gradient accumulation steps
    "Clip",  # Gradient clipping (max norm)
    "Compute type",  # Precision (dtype)
    "Held out for validation",  # Validation split
    "Kept for a last test",  # Test split
    "Held-out side",  # Split
    "Held-out text",  # Validation loss
    "Domain, bits per byte",  # Domain validation
    "General, bits per byte",
    "BPB",  # bits/byte
    "Put into the queue",  # Add to queue
    "Take out",  # Remove
    "Kill",  # Force stop
    "Kill it",
    "Killed",  # Force-stopped
    "Prepared",  # Not started
    "Story",  # Events
    "Last news",  # Last update
    "Merge back",  # Merge with base
    "Shares",  # Mix ratios
    "Point",  # Merged model
    "Former evaluations",  # Past evaluations
    "Former merges",
    "Former results",
    "Surprise in nats",  # Surprisal (nats)
    "compared with",  # Baseline
    "make first",  # Use as baseline
    "Most tokens",  # Max tokens
    "Penalty looks back",  # Repetition window
    "Seeds at once",  # Number of seeds
    "Stop at",  # Stop sequences
    "Greedy",  # Deterministic
    "Varied",  # Creative
    "Stop writing",  # Stop
    "Again with a new seed",  # Regenerate with new seed
    "Change and ask again",  # Edit and re-run
    "Keep",  # Keep last N
    "Keep every",  # Keep every N steps
    "Guards",  # Loss-spike protection
    "Give up after",  # Fail after N skipped steps
    "Clone settings",  # Duplicate
    "Same run elsewhere",  # Command line & YAML
    "Rows as CSV",  # Metrics (CSV)
    "Rows as JSON",
    "Layout",  # Format
    "Side",  # Split
    "Likeness",  # Similarity
    "Duplicates, for example",  # Sample duplicates
    "Kept in its place",  # Kept instead
    "Begins with",  # Preview
    "not read",  # Skipped
    "read, with a note",  # Read with warnings
    "Build again…",  # Rebuild…
    "Play with it.",  # Open in Playground
    "This is required.",  # Choose a corpus.
    "Warm-up",  # Warmup
)
"""Whole labels: each is an ordinary word elsewhere."""

TEXTS: Final = (
    "Tokens in a row",
    "Rows of one micro-batch",
    "into the queue",
    "Course of the loss",
    "Departs from",
    "where they depart",
    "most tokens reached",
    "How far the penalty looks",
    "to keep for good",
    "tokens a byte",  # bytes per token
    "No general text is replayed",
    "knows by heart",
    "It was asked to",
    "no longer in memory",
    "what the model shall learn",
    "To be solved before",
    "must be solved first",
    "There is no plan while",
    "Still needed: ",
    "Working it out",
    "is being worked out",
    "things to consider",
    "% of the training time on top",
    "it may wreck what the model knows",
    "Runs a few real steps to tell the time",
    "Nothing of them is kept",
    "ArgsKwargs",
    "is no length:",
    "Training begins at once",
    "The first step is not done yet",
    "was asked to stop. It saves",
    "because you asked for it",
    "What CPT Studio remembers of the run",
    "cannot be brought back",
    "There is no way back",
    "mlx_lm loads them as they are",
    "no prompts to complete at its evaluations",
    "Searching and downloading ask",
    "to be listed?",
    "it never ends the build",
    "Of documents with the same text one stays",
    "Drop equal documents",
    "Drop nearly equal documents",
    "What holds the text in",
    "not or not wholly read",
    "What the model reads, in the order",
    "document goes on",
    "What did not change is not read again",
    "A beginning that the models go on from",
    "Chat needs models that all",
    "at the most, the whole process",
    "ends by itself after",
    "of weights are read into memory",
    "Point at a token",
    "the text goes on from there",
    "The per cent are the change",
    "that range leaves out zero",
    "Bits per byte say how many bits",
    "At most so much",
    "This browser is not signed in",
    "is not the right one, or the file was used already",
    "End all sessions",
    "does not know this page any more",
    "Look for training started elsewhere",
    "mlx_lm and its kin",
    "Movement follows the system",
    "Single keys are shortcuts",
    "when nothing was asked for so long",
    "There is no such page",
    "There is no such run any more",
    "Three steps to a first run",
    "watch both losses",
    "here and now",
    "Go on with a run",
    "Let a model go on",
    "Let several models go on",
    "Tell what a run would be",
    "Tell how likely models find a text",
    "A corpus that is only measured",
    "flags given besides",
    "Whose tokenizer",
    "closing the terminal ends nothing",
    "its state with the evidence",
    "--go-on",
)
"""Sentences and parts of them, wherever they stand."""

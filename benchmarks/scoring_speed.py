"""Scoring and the first token against mlx-lm's own, with the same BLAS and the same model.

    python -m benchmarks.scoring_speed            # everything, about ten minutes
    python -m benchmarks.scoring_speed --quick    # proves that it works
    python -m benchmarks.scoring_speed --page     # also put the tables into docs/evaluation.md

Scoring: `score_documents`, which `evaluate` and `score` use, against `mlx_lm.perplexity.eval_ppl`
at the same context. "Full rows" are as many tokens as the context each; "documents" are source
files as they come, which ours scores one by one with padding and theirs joined into full rows;
"an evaluation" are as many, none longer than the context, as a run measures every so often.
First token: from asking the bench worker, a process of its own, to its first piece, against
`mlx_lm.generate.generate_step` in this process; both models are loaded and warm.

Both sides take turns in one process, with the same patch of mlx's products (`lm.blas`) on all
cores, so that other load on the machine meets both alike. Medians of the turns with their range.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.markdown import replace_part, table
from benchmarks.peers.processes import apart

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evaluation.md"
PART = "scoring_speed"
THEIR_BATCH = 8
DOCUMENTS = "documents"
FEW = "an evaluation"
ROWS = "full rows"


@dataclass(frozen=True)
class Cell:
    """One comparison: what is scored, by which model, how much of it."""

    vocabulary: int
    context: int
    material: str
    tokens: int


CELLS = (
    Cell(8192, 512, ROWS, 16_384),
    Cell(8192, 512, DOCUMENTS, 16_384),
    Cell(8192, 512, FEW, 3_500),
    Cell(8192, 2048, ROWS, 16_384),
    Cell(32_768, 512, ROWS, 8_192),
    Cell(151_936, 512, ROWS, 4_096),
)
QUICK = (Cell(8192, 512, ROWS, 2_048),)
PROMPTS = (16, 256, 1024)


@dataclass(frozen=True)
class Turn:
    """Wall and processor seconds of one turn."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Compared:
    """The turns of both sides, and the tokens of each turn."""

    what: str
    theirs: list[Turn]
    ours: list[Turn]
    their_tokens: int = 0
    our_tokens: int = 0


def timed(work: Callable[[], Any]) -> Turn:
    """Do something once."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Turn(time.perf_counter() - wall, time.process_time() - processor)


def in_turns(
    theirs: Callable[[], Any], ours: Callable[[], Any], rounds: int
) -> tuple[list[Turn], list[Turn]]:
    """Both in turns, after one of each that does not count."""
    from cptstudio.child_limits import usable_cores
    from cptstudio.lm import blas

    found: tuple[list[Turn], list[Turn]] = ([], [])
    for turn in range(rounds + 1):
        for work, turns in zip((theirs, ours), found, strict=True):
            # Ours leaves one thread a stream; theirs needs all of them in each product.
            blas.set_blas_threads(usable_cores())
            one = timed(work)
            if turn:
                turns.append(one)
    return found


# --- scoring ---------------------------------------------------------------------------------


def compare_scoring(folder: Path, cell: Cell, rounds: int) -> Compared:
    """Score the same tokens by both, in turns."""
    import mlx.core as mx
    import numpy as np
    from mlx_lm import perplexity
    from mlx_lm.utils import load_model

    from cptstudio.lm import blas
    from cptstudio.lm.likelihood import score_documents

    evaluate: Any = perplexity.eval_ppl
    blas.use_fast_blas()
    model, _ = load_model(folder)
    documents = token_documents(folder, cell)
    joined = np.concatenate(documents)
    width = cell.context + (cell.material == ROWS)
    rows = joined[: len(joined) // width * width].reshape(-1, width)
    if cell.material == ROWS:
        # Their rows have one token more, because the first one is not scored.
        rows = np.random.default_rng(0).integers(0, 8192, (len(documents), width))
    data = mx.array(rows.astype(np.int32))

    def theirs() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluate(model, data, batch_size=THEIR_BATCH)

    def ours() -> None:
        sizes = [len(document) for document in documents]
        score_documents(model, documents, sizes, start_token=0, context_length=cell.context)

    turns = in_turns(theirs, ours, rounds)
    what = f"{cell.vocabulary:,} | {cell.context:,} | {cell.material}"
    return Compared(what, *turns, data.shape[0] * (data.shape[1] - 1), len(joined))


def token_documents(folder: Path, cell: Cell) -> list[Any]:
    """Token ids: source files as they come, or random full rows."""
    import numpy as np
    from tokenizers import Tokenizer

    if cell.material == ROWS:
        shape = (cell.tokens // cell.context, cell.context)
        return list(np.random.default_rng(0).integers(0, 8192, shape))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found: list[Any] = []
    few = cell.material == FEW
    for text in source_texts()[:: 5 if few else 1]:
        if sum(len(one) for one in found) >= cell.tokens:
            break
        ids = np.array(tokenizer.encode(text).ids)
        if not few or len(ids) <= cell.context:
            found.append(ids)
    return found


def source_texts() -> list[str]:
    """Functions and classes of the standard library: documents of very different lengths."""
    import ast

    from cptstudio.demo import library_files

    texts = []
    for path in sorted(library_files())[::7]:
        try:
            text = path.read_text(encoding="utf-8")
            parts = ast.parse(text).body
        except (UnicodeDecodeError, SyntaxError):
            continue
        found = (ast.get_source_segment(text, part) or "" for part in parts)
        texts += [part for part in found if len(part) > 40]
    return texts


# --- the first token -------------------------------------------------------------------------


def compare_first_token(folder: Path, length: int, rounds: int) -> Compared:
    """Ask both for one token after a prompt of so many, in turns."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import load_model

    from cptstudio.evaluation.inference import InferenceWorker
    from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling
    from cptstudio.evaluation.references import ModelReference
    from cptstudio.lm import blas

    blas.use_fast_blas()
    model, _ = load_model(folder)
    tokens = [1 + number * 37 % 8000 for number in range(length)]
    prompt = mx.array(tokens)
    ask = Complete(
        labels=("model",),
        prompts=(Prompt(tokens=tuple(tokens)),),
        sampling=Sampling(max_tokens=16),
    )

    def theirs() -> None:
        steps = generate_step(prompt, model, max_tokens=16)
        next(steps)
        steps.close()

    with InferenceWorker() as bench:
        bench.load([ModelReference("model", folder)])

        def ours() -> None:
            answers = bench.ask(ask)
            next(answer for answer in answers if "piece" in answer)
            answers.close()

        turns = in_turns(theirs, ours, rounds)
    return Compared(f"{length:,}", *turns)


# --- reporting -------------------------------------------------------------------------------


def spread(values: Sequence[float], form: str) -> str:
    """A median with its range."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{format(middle, form)} ({format(low, form)} to {format(high, form)})"


def ratio(compared: Compared, kind: str) -> float:
    """Tokens a second of ours to theirs, by medians of `kind` ("wall" or "processor")."""
    theirs = statistics.median(getattr(turn, kind) for turn in compared.theirs)
    ours = statistics.median(getattr(turn, kind) for turn in compared.ours)
    return float((compared.our_tokens / ours) / (compared.their_tokens / theirs))


def scoring_table(found: Sequence[Compared]) -> str:
    """Tokens a second by both."""
    rows = []
    for one in found:
        theirs = spread([one.their_tokens / turn.wall for turn in one.theirs], ",.0f")
        ours = spread([one.our_tokens / turn.wall for turn in one.ours], ",.0f")
        ratios = [f"{ratio(one, kind):.2f}" for kind in ("wall", "processor")]
        rows.append([*one.what.split(" | "), theirs, ours, *ratios])
    head = ["Vocabulary", "Context", "Scored", "mlx-lm, tokens/s", "CPT Studio, tokens/s"]
    return table([*head, "Ratio", "by processor time"], rows)


def first_token_table(found: Sequence[Compared]) -> str:
    """Milliseconds to the first token by both."""
    rows = []
    for one in found:
        theirs = [1000 * turn.wall for turn in one.theirs]
        ours = [1000 * turn.wall for turn in one.ours]
        of_theirs = statistics.median(ours) / statistics.median(theirs)
        rows.append([one.what, spread(theirs, ".1f"), spread(ours, ".1f"), f"{of_theirs:.2f}"])
    head = ["Prompt, tokens", "mlx-lm, ms", "CPT Studio's worker, ms", "Ratio"]
    return table(head, rows, texts=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="prove that it works")
    parser.add_argument("--only", choices=["scoring", "first-token"])
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {PAGE.name}")
    given = parser.parse_args(arguments)
    cells = QUICK if given.quick else CELLS
    lengths = PROMPTS[:1] if given.quick else PROMPTS
    rounds = 1 if given.quick else given.rounds
    scored: list[Compared] = []
    first: list[Compared] = []
    with tempfile.TemporaryDirectory(prefix="scoring-speed-") as root:
        folder_of = partial(make_model, Path(root))
        for cell in cells if given.only != "first-token" else ():
            scored.append(apart(compare_scoring, folder_of(cell.vocabulary), cell, rounds))
            print(scoring_table(scored[-1:]).splitlines()[-1], flush=True)
        for length in lengths if given.only != "scoring" else ():
            first.append(apart(compare_first_token, folder_of(8192), length, 3 * rounds))
            print(first_token_table(first[-1:]).splitlines()[-1], flush=True)
    text = "\n\n".join([scoring_table(scored), first_token_table(first)])
    print("\n" + text)
    if given.json:
        content = [asdict(one) for one in (*scored, *first)]
        given.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    if given.page:
        replace_part(PAGE, PART, text)
    return 0


def make_model(root: Path, vocabulary: int) -> Path:
    """The peers' model, with a tokenizer trained on the documents; made once."""
    from benchmarks.peers.model_folder import train_tokenizer, write_model

    folder = root / str(vocabulary)
    if not folder.exists():
        write_model(folder, train_tokenizer(source_texts()[:2000]), vocabulary)
    return folder


if __name__ == "__main__":
    sys.exit(main())

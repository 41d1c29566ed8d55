"""Gives a GGUF file the order of its tokenizer's merges: `python mend_scores.py FILE TOKENIZER`.

Run by the converter's Python. llama.cpp merges pieces by the score of what they become. The
converter knows these from `tokenizer.model` alone; of a folder that has only tokenizer.json, as
transformers 5 saves it, every score is -1000, and texts fall into other tokens than the model was
trained with. SentencePiece's scores of such a vocabulary are the negative ranks of the merges,
which tokenizer.json has. Prints {"mended": true} where that was the case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf


def main(file: str, tokenizer: str) -> None:
    """Mend the file in place, where it needs to be."""
    reader = gguf.GGUFReader(file, "r+")
    field = reader.fields.get("tokenizer.ggml.scores")
    model = json.loads(Path(tokenizer).read_text(encoding="utf-8"))["model"]
    merges = model.get("merges") or []
    lost = field is not None and len({float(field.parts[at][0]) for at in field.data[:4096]}) == 1
    if not (lost and merges and reader.fields["tokenizer.ggml.model"].contents() == "llama"):
        print(json.dumps({"mended": False}))
        return
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault(left + right, rank)
    texts = {number: text for text, number in model["vocab"].items()}
    for number, at in enumerate(field.data):
        merged = ranks.get(texts.get(number, ""))
        field.parts[at][0] = 0.0 if merged is None else -float(merged + 1)
    reader.data.flush()
    print(json.dumps({"mended": True}))


if __name__ == "__main__":
    main(*sys.argv[1:3])

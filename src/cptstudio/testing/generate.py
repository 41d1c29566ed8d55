"""The generation program: `python -m cptstudio.testing.generate`, a request on standard input.

Request: {"model": folder, "adapter": folder or null, "prompt": text, "max_tokens": count,
"temperature": number, "top_p": number, "seed": integer, "fast_blas": true or false}. Each piece
of text is sent as {"progress": {"text": ...}} as it is made; the result says how fast it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.generate import stream_generate
from mlx_lm.sample_utils import make_sampler

from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import load_for_inference
from cptstudio.testing import program


def generate(request: dict[str, Any]) -> dict[str, Any]:
    """Complete a prompt as raw text; temperature 0 is greedy.

    The prompt is encoded with the special tokens that the tokenizer itself puts before a text.
    """
    use_fast_blas(enabled=request["fast_blas"])
    adapter = request["adapter"]
    loaded = load_for_inference(Path(request["model"]), Path(adapter) if adapter else None)
    mx.random.seed(request["seed"])
    tokens = loaded.tokenizer.encode(request["prompt"])
    if not tokens:
        tokens = [loaded.tokenizer.eos_token_id]
    sampler = make_sampler(temp=request["temperature"], top_p=request["top_p"])
    response = None
    for response in stream_generate(
        loaded.model, loaded.tokenizer, tokens, max_tokens=request["max_tokens"], sampler=sampler
    ):
        program.say(progress={"text": response.text})
    if response is None:
        return {"tokens": 0, "finish_reason": "length"}
    return {
        "tokens": response.generation_tokens,
        "tokens_per_second": response.generation_tps,
        "prompt_tokens": response.prompt_tokens,
        "finish_reason": response.finish_reason,
    }


if __name__ == "__main__":
    program.run(generate)

"""The model that the steps train, and the operations that a step of it needs."""

from __future__ import annotations

from typing import Any

ROWS = 4
LAYERS, WIDTH, INNER, HEADS, HEAD_SIZE = 8, 320, 1024, 5, 64


def build_model(vocabulary: int, method: str) -> Any:
    """A Qwen3 with random weights; 13.8M parameters at a vocabulary of 8,192."""
    import mlx.core as mx
    from mlx_lm.models import qwen3
    from mlx_lm.tuner.utils import linear_to_lora_layers

    mx.random.seed(0)
    model = qwen3.Model(
        qwen3.ModelArgs(
            model_type="qwen3",
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            intermediate_size=INNER,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=HEAD_SIZE,
            rms_norm_eps=1e-6,
            vocab_size=vocabulary,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            rope_theta=1e4,
        )
    )
    if method == "lora":
        model.freeze()
        linear_to_lora_layers(model, LAYERS, {"rank": 64, "dropout": 0.0, "scale": 1.0})
    model.train()
    mx.eval(model.parameters())
    return model


def operations(vocabulary: int, context: int, method: str) -> float:
    """Floating-point operations that a step needs.

    A weight of a matrix costs 2 operations for each token forward, 2 for the gradient of its input,
    and 2 for its own where it is trained. Attention: 2 products forward and 4 backward over the
    positions that a query may see. Embedding look-ups, norms and activations are not counted, nor
    what a program computes in vain.
    """
    tokens = ROWS * context
    matrices = LAYERS * (4 * WIDTH * HEADS * HEAD_SIZE + 3 * WIDTH * INNER) + vocabulary * WIDTH
    attention = 12 * LAYERS * HEADS * HEAD_SIZE * (context + 1) / 2
    if method == "full":
        return float(tokens * (6 * matrices + attention))
    adapters = LAYERS * 64 * (4 * (WIDTH + HEADS * HEAD_SIZE) + 3 * (WIDTH + INNER))
    return float(tokens * (4 * matrices + 6 * adapters + attention))

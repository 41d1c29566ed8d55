"""Puts one prompt to several models, and tells how likely each finds a text.

    python examples/compare_models.py WORKSPACE PROMPT TEXT MODEL...

A model is a base model of the workspace, or a run: first, first@best, first@200. They are held by
a process of their own, which ends with the block.
"""

import sys

from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Score
from cptstudio.evaluation.references import resolve_reference
from cptstudio.workspace import Workspace


def main(folder: str, prompt: str, text: str, *models: str) -> None:
    workspace = Workspace(folder)
    references = [resolve_reference(model, workspace) for model in models]
    labels = tuple(reference.label for reference in references)
    with InferenceWorker() as inference:
        inference.load(references)
        ask = Complete(
            labels=labels, prompts=(Prompt(text=prompt),), sampling=Sampling(max_tokens=20)
        )
        said = [""] * len(labels)
        for answer in inference.ask(ask):
            if "piece" in answer:
                said[answer["piece"]["text_number"]] += answer["piece"]["text"]
        scored = inference.result(Score(labels=labels, texts=(text,)))
    for label, words, model in zip(labels, said, scored["models"], strict=True):
        print(f"{label}: {prompt}{words!r}, {model['bits_per_byte']:.3f} bits per byte")


if __name__ == "__main__":
    main(*sys.argv[1:])

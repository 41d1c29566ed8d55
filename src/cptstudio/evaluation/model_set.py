"""The models that the inference worker holds in memory."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import ModelToLoad
from cptstudio.lm.chat_format import ChatFormat, RenderAll, chat_format
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.lm.sharing import with_adapter


@dataclass(frozen=True)
class HeldModel:
    """One model in memory.

    Attributes:
        label: how requests name it.
        loaded: the network and its tokenizer.
        tokenizer: the same tokenizer, as the corpora use it.
        given: the folders it came from.
    """

    label: str
    loaded: LoadedModel
    tokenizer: CorpusTokenizer
    given: ModelToLoad


class ModelSet:
    """Models by label. One base with several adapters is in memory once."""

    def __init__(self) -> None:
        self._bases: dict[str, LoadedModel] = {}
        self._held: dict[str, HeldModel] = {}
        self._formats: dict[str, ChatFormat] = {}

    def __getitem__(self, label: str) -> HeldModel:
        if label not in self._held:
            there = ", ".join(self._held) or "none"
            raise UserError(f"The model {label!r} is not loaded. Loaded models: {there}.")
        return self._held[label]

    def load(self, given: ModelToLoad) -> None:
        """Bring a model into memory; one that is there from the same folders stays.

        Raises:
            UserError: it cannot be loaded. What was loaded before stays.
        """
        present = self._held.get(given.label)
        if present is not None and present.given == given:
            return
        base = self._bases.get(given.model)
        if base is None:
            base = load_for_inference(Path(given.model))
        loaded = with_adapter(base, Path(given.adapter)) if given.adapter else base
        tokenizer = load_tokenizer(given.model)
        self._bases[given.model] = base
        self._held[given.label] = HeldModel(given.label, loaded, tokenizer, given)
        self._forget_unused_bases()

    def unload(self, label: str) -> None:
        """Take a model out of memory; its base stays while another model uses it."""
        self._held.pop(label, None)
        self._forget_unused_bases()

    def chat_format(self, label: str, render: RenderAll) -> ChatFormat:
        """Return how the chat of a model is formed; its template is asked once.

        Raises:
            UserError: the model is not loaded.
        """
        held = self[label]
        known = self._formats.get(held.given.model)
        if known is None:
            known = chat_format(Path(held.given.model), held.loaded.tokenizer, render)
            # A template that could not be asked, as when somebody stopped it, is asked again.
            if known.problem is None:
                self._formats[held.given.model] = known
        return known

    def describe(self) -> dict[str, Any]:
        """Return the loaded models, and the bytes of memory they take."""
        return {
            "models": [
                {
                    "label": held.label,
                    "chat": bool(held.loaded.tokenizer.has_chat_template),
                    "vocabulary_size": held.tokenizer.facts.vocabulary_size,
                    "tokenizer": held.tokenizer.facts.hash,
                }
                for held in self._held.values()
            ],
            "memory_active": mx.get_active_memory(),
            "memory_peak": mx.get_peak_memory(),
        }

    def _forget_unused_bases(self) -> None:
        used = {held.given.model for held in self._held.values()}
        for path in set(self._bases) - used:
            del self._bases[path]
            self._formats.pop(path, None)
        gc.collect()
        mx.clear_cache()

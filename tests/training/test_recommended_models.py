"""The recommended models: what is told of them is what today's estimates say."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from cptstudio.models.hub_address import check_id
from cptstudio.training.machine import Machine
from cptstudio.training.recommended_models import Way, recommended_models, ways_that_fit
from scripts.make_recommended_models import measured

MACHINE = Machine("", "", 8, 0, "metal")


def test_each_model_can_be_downloaded_and_has_its_memory_by_way() -> None:
    models, ways = recommended_models(), get_args(Way)
    assert len({model.id for model in models}) == len(models) >= 10
    assert [model.parameters for model in models] == sorted(model.parameters for model in models)
    for model in models:
        check_id(model.id)
        assert model.source and model.license and model.use and model.packed_bytes <= model.bytes
        for steps in model.memory.values():
            assert steps.keys() <= set(ways) and "qlora" in steps
            least = [steps[way].checkpointing for way in ways if way in steps]
            assert least == sorted(least, reverse=True)
            assert all(step.checkpointing <= step.plain for step in steps.values())


def test_what_fits_follows_the_memory_of_the_machine() -> None:
    order = ["none", "tight", "good"]
    for model in recommended_models():
        for way, step in model.memory["gpu"].items():
            seen = []
            for memory in (0, step.checkpointing, 2 * step.checkpointing, step.plain * 4):
                machine = dataclasses.replace(MACHINE, memory=memory)
                fit = ways_that_fit(model, machine)[way]
                assert (fit.needed, fit.checkpointing) == (step.plain, step.checkpointing)
                seen.append(order.index(fit.fit))
            assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 2


@pytest.mark.slow
def test_the_file_says_what_the_estimates_say_today() -> None:
    """The smallest one; all are compared by `python -m scripts.make_recommended_models --check`."""
    model = recommended_models()[0]
    told = model.model_dump(include={"parameters", "bytes", "packed_bytes", "memory"})
    assert measured(model.config) == told, "run python -m scripts.make_recommended_models"

"""GGUF exports on behalf of the page, and the converter that makes them."""

from __future__ import annotations

from pydantic import Field

from cptstudio.child_limits import for_files
from cptstudio.exports.converter import Converter
from cptstudio.exports.gguf_request import GgufCompared
from cptstudio.exports.gguf_types import GgufType
from cptstudio.exports.programs import MAKE_CONVERTER, MAKE_GGUF
from cptstudio.validation import LateModel
from cptstudio.web.problems import Conflict, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work.export_work import ExportBody, Reference, common_request, onto_of, start
from cptstudio.web.work.jobs import Job, Order

KEY = "gguf converter"


class GgufBody(GgufCompared, ExportBody):
    """A GGUF file, an adapter fused in first."""

    type: GgufType = Field("Q8_0", description="Type of most weights.")
    onto: Reference | None = Field(
        None, description="Put the adapter on this model instead of its base."
    )


class ConverterBody(LateModel, extra="forbid"):
    """That the converter may be downloaded."""

    agreed: bool = Field(False, description="To the download that GET tells the size of.")
    torch_from: str | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="An index or folder that has PyTorch without CUDA's libraries, where pip's "
        "own index does not.",
    )


def gguf(studio: Studio, body: GgufBody) -> Job:
    """A job; its result is the export's record with the comparison.

    Raises:
        UserError: there is no such model, the name is taken, or the converter is not installed.
    """
    Converter(studio.workspace).check_ready()
    request = {**common_request(studio, body), "type": body.type, "llama_cpp": None}
    title = f"Making a GGUF file of {body.model}"
    return start(studio, body, title, MAKE_GGUF, onto_of(studio, body.onto, request))


def install(studio: Studio, body: ConverterBody) -> Job:
    """A job that downloads pinned files into the workspace's private folder.

    Raises:
        Problem: nobody agreed to the download, or there are no files for this Python.
        Conflict: it is being installed.
    """
    state = Converter(studio.workspace).state()
    if not state.packages:
        raise Problem(state.why)
    if not body.agreed:
        raise Problem(f"Confirm the download of {state.download / 1e6:,.0f} MB.")
    return studio.jobs.start(
        "converter",
        "Installing the GGUF converter",
        ("-m", MAKE_CONVERTER),
        {"workspace": str(studio.workspace.root), "torch_from": body.torch_from},
        for_files(),
        key=KEY,
        on="workspace",
    )


def remove(studio: Studio) -> int:
    """Remove the converter; returns the bytes that it took.

    Raises:
        Conflict: it is being installed, or is at work.
    """
    if studio.jobs.active(KEY) is not None:
        raise Conflict("The converter is being installed: cancel that first.")
    jobs = [job for job in studio.jobs.jobs() if job.kind == "export" and job.state == "running"]
    if any(job.title.startswith("Making a GGUF file") for job in jobs):
        raise Conflict("A GGUF file is being made: wait until it is, or cancel it.")
    return Converter(studio.workspace).remove()


ORDERS = (
    Order("/exports/gguf", "Make a GGUF file", gguf),
    Order("/exports/converter", "Install the GGUF converter", install),
)

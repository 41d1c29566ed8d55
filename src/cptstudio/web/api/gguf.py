"""`/api/exports/converter`, and where a GGUF file can be put."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.export_files import ExportRecord, read_export
from cptstudio.exports.converter import Converter
from cptstudio.exports.destinations import (
    lm_studio_folder,
    put_into_lm_studio,
    put_into_ollama,
)
from cptstudio.exports.gguf_types import FACTS, GgufType
from cptstudio.exports.ollama import ollama_program
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.problems import NotFound
from cptstudio.web.studio import Studio
from cptstudio.web.work import gguf_work


class PackageView(LateModel):
    """A package of the converter."""

    package: str
    version: str
    license: str
    size: int = Field(description="Bytes to download.")


class GgufTypeView(LateModel):
    """A type that a GGUF file can have."""

    type: GgufType
    bits: float = Field(description="Of a weight, about.")
    help: str


class ConverterView(LateModel):
    """The converter of the workspace, and what can be made with it.

    Attributes:
        why: it cannot be used; "" where it can.
        download: bytes that installing it downloads.
        bytes: that it takes on the disk; null where it is not there.
        lm_studio: LM Studio's folder of models exists.
        ollama: Ollama is installed.
    """

    ready: bool
    why: str
    download: int
    bytes: int | None
    packages: list[PackageView]
    types: list[GgufTypeView]
    lm_studio: bool
    ollama: bool


class RemovedView(LateModel):
    """What became free."""

    bytes: int


class PlacedView(LateModel):
    """Where an export is now."""

    place: str


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("gguf", __name__, url_prefix="/api/exports")

    @route(bp, "GET", "/converter", summary="The GGUF converter: installed or not, and its size")
    def converter() -> ConverterView:
        state = Converter(studio.workspace).state()
        return ConverterView(
            ready=state.ready,
            why=state.why,
            download=state.download,
            bytes=state.bytes,
            packages=[
                PackageView(
                    package=one.package, version=one.version, license=one.license, size=one.size
                )
                for one in state.packages
            ],
            types=[
                GgufTypeView(type=kind, bits=facts.bits, help=facts.help)
                for kind, facts in FACTS.items()
            ],
            lm_studio=lm_studio_folder() is not None,
            ollama=ollama_program() is not None,
        )

    @route(bp, "DELETE", "/converter", summary="Remove the GGUF converter")
    def remove() -> RemovedView:
        return RemovedView(bytes=gguf_work.remove(studio))

    @route(bp, "POST", "/<name>/lm-studio", summary="Put an export into LM Studio's models")
    def lm_studio(name: str) -> PlacedView:
        folder = studio.workspace.export(name)
        return PlacedView(place=str(put_into_lm_studio(folder, _record(studio, name))))

    @route(bp, "POST", "/<name>/ollama", summary="Give a GGUF export to Ollama")
    def ollama(name: str) -> PlacedView:
        _record(studio, name)
        put_into_ollama(studio.workspace.export(name), name.lower())
        return PlacedView(place=name.lower())

    return bp


def _record(studio: Studio, name: str) -> ExportRecord:
    try:
        return read_export(studio.workspace.export(name))
    except UserError as error:
        if name not in studio.workspace.export_names():
            raise NotFound(f"There is no export {name!r} in this workspace.") from None
        raise error

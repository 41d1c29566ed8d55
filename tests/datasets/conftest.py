"""A hub for the tests of datasets."""

from tests.models.conftest import hub_server

__all__ = ["hub_server"]  # A fixture, which pytest finds by its name here.

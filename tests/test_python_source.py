"""Source is read by several threads at once."""

from __future__ import annotations

import ast
import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest

from cptstudio.python_source import parse_source


@pytest.mark.slow
def test_threads_that_read_source_at_once_all_get_its_tree() -> None:
    source = inspect.getsource(ast)
    expected = ast.dump(parse_source(source))
    with ThreadPoolExecutor(8) as threads:
        trees = list(threads.map(parse_source, [source] * 24))
    assert all(ast.dump(tree) == expected for tree in trees)

from collections.abc import Iterator

import pytest

from billing_platform import clock
from billing_platform.auth import forget_keys
from counter import access, client, items
from rating import tariffs
from tests.counter.told import breaches


@pytest.fixture(autouse=True)
def _fresh_look() -> Iterator[None]:
    """What this process remembers comes from the test before."""
    items._cache.read_at = float("-inf")
    access._trees.clear()
    tariffs.refresh()
    forget_keys()
    client.forget_payers()
    yield
    clock.set_test_instant(None)


@pytest.fixture
def books(db: None) -> Iterator[None]:
    """The story's own transaction; when it ends the oracle must be clean."""
    yield
    assert breaches() == []


@pytest.fixture
def committed_books(fresh_database: object) -> Iterator[None]:
    """The same with real commits, for threads and other processes."""
    yield
    assert breaches() == []

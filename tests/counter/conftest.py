from collections.abc import Iterator

import pytest

from billing_platform import clock
from counter import client
from tests.counter.told import breaches, look_afresh


@pytest.fixture(autouse=True)
def _fresh_look() -> Iterator[None]:
    look_afresh()
    yield
    clock.set_test_instant(None)


@pytest.fixture(autouse=True)
def _no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a slow machine does not answer within a gate's two seconds is unknown: true, but another story."""
    monkeypatch.setattr(client, "GATE_SECONDS", 20.0)


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

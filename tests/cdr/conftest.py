"""A desk for a module: a database of its own with a real counter process on it; each test brings its own tenant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_platform import auth, clock
from cdr import history, providers, rules
from counter import client
from tests.cast import make_deck, make_item
from tests.cdr.desk import Desk
from tests.processes import running_counter


@pytest.fixture(scope="module")
def desk(module_database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Calls cost 0.12 for each started minute; the counter runs. Tests of the module share both."""
    make_item("callback", "by_deck")
    make_deck("main", ",0.12,60,60")
    directory: Path = tmp_path_factory.mktemp("desk")
    with running_counter(directory) as counter:
        yield Desk(counter, directory)


@pytest.fixture(autouse=True)
def _no_haste(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A charge that a slow machine does not make in time is left to the sweeper: true, but another story."""
    settings.CDR_INLINE_BUDGET = 30.0  # type: ignore[attr-defined]
    monkeypatch.setattr(client, "GATE_SECONDS", 20.0)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    def forget() -> None:
        providers.forget_providers()
        rules.forget_rules()
        history.forget_listeners()
        client.forget_payers()
        auth.forget_keys()

    forget()
    yield
    forget()
    clock.set_test_instant(None)

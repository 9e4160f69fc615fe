import pytest

from rating import tariffs


@pytest.fixture(autouse=True)
def _fresh_look() -> None:
    """What this process knows of prices comes from the test before; rollbacks tell nobody."""
    tariffs.refresh()

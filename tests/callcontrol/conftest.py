"""A stage for a module: a database of its own with a real counter process on it, and a real callback platform."""

import threading
from collections.abc import Iterator

import pytest
from django.core.cache import cache

from billing_platform import clock
from billing_platform.supervision import unused_port
from callcontrol import outages
from tests.callcontrol.cast import make_platform, make_services
from tests.callcontrol.simulated import SPEED, Hooks, running
from tests.callcontrol.stage import Stage
from tests.processes import running_counter


@pytest.fixture(scope="module")
def stage(module_database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Tests of the module share it; each brings a tenant of its own."""
    make_services()
    with Hooks() as hooks:
        threading.Thread(target=hooks.serve_forever, args=(0.02,), daemon=True).start()
        with (
            # Between a death and a return nobody else may take the port.
            running_counter(tmp_path_factory.mktemp("stage"), address=f"127.0.0.1:{unused_port()}") as counter,
            running(hooks, "--speed", str(SPEED)) as simulator,
        ):
            make_platform(f"http://127.0.0.1:{simulator.port}/generic")
            built = Stage(counter, simulator, hooks)
            yield built
            built.counter.kill9()
        hooks.shutdown()


@pytest.fixture(autouse=True)
def _nothing_remembered(servers: object) -> Iterator[None]:
    outages.forget()
    cache.clear()
    yield
    clock.set_test_instant(None)

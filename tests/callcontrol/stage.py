"""The stage of a module's tests: a real counter, a real callback platform, and our hooks, which only listen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from callcontrol.statuses import StatusReceipt, accept_status
from counter import client
from tests.callcontrol.simulated import Hooks, Simulator
from tests.processes import Process, start_counter, wait_until


@dataclass
class Stage:
    """A test says when we hear what the platform has told our hooks."""

    counter: Process
    simulator: Simulator
    hooks: Hooks

    @contextmanager
    def outage(self, tmp_path: Path) -> Iterator[None]:
        """The counter is killed; afterwards another one stands at the same address."""
        self.counter.kill9()
        try:
            yield
        finally:
            self.counter = start_counter(tmp_path, address=self.counter.ready["address"])
            wait_until(lambda: client.ready_part().ok, what="the counter is back")

    def hear(self, reference: str, *, until: str = "ended") -> list[StatusReceipt]:
        """Take in the status events that the platform has pushed for a call, up to a state."""
        self.hooks.wait_state(reference, until)
        return [accept_status("simulator", push.content) for push in self.hooks.of(reference, "status")]

"""A process of ours on a stack's database: makes tenants and asks the oracle. The test process does neither, for what
it remembers by id belongs to other databases.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.supervisor import ROOT

_PROGRAM = "import django; django.setup(); from tests.faults.office import main; main()"


@dataclass(frozen=True)
class Tenant:
    """An organisation with money whose callbacks are priced by the deck, and its key for everything."""

    organization: str
    accno: str
    key: str


class Clerk:
    """Takes one order after the other; ends with this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**environment, "DJANGO_SETTINGS_MODULE": "billing_platform.settings"},
        )  # fmt: skip

    def prepare(self) -> None:
        """Migrate an empty database and seed what all cases share."""
        self._order("prepare")

    def work_on(self, database: str) -> None:
        """From now on another clone of the same template."""
        self._order("work_on", database=database)

    def make_tenant(self, organization: str, *, money: str = "1000.00") -> Tenant:
        return Tenant(**self._order("make_tenant", organization=organization, money=money))

    def open_gate(self, tenant: Tenant, *, platform_url: str, **policy: object) -> None:
        """The tenant's callbacks go to this platform, under this GatePolicy."""
        self._order("open_gate", organization=tenant.organization, platform_url=platform_url, policy=policy)

    def listen(self, tenant: Tenant, *, url: str) -> None:
        """The tenant is told every event there."""
        self._order("listen", organization=tenant.organization, url=url)

    def breaches(self) -> dict[str, list[str]]:
        """What the oracle finds: number of the invariant and its examples; nothing when the books are clean."""
        found: dict[str, list[str]] = self._order("breaches")
        return found

    def dismiss(self) -> None:
        self._popen.communicate()

    def _order(self, order: str, **values: object) -> Any:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps([order, values]) + "\n")
        self._popen.stdin.flush()
        answer = self._popen.stdout.readline()
        assert answer, f"the clerk ended at the order {order}"
        return json.loads(answer)

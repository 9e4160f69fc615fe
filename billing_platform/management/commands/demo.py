"""manage.py demo: one call from the click to the ledger, with real processes, printed step by step."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing_platform import demo

WISH = {"customer_number": "13912348888", "agent_number": "13800000001", "max_seconds": 120}
CALL_SECONDS, STOP_SECONDS = 60.0, 60.0
SPEED = "10"  # the simulator plays the call ten times faster; its record says what it would have lasted
NOT_OURS = frozenset({"DATABASE_URL", "REDIS_URL", "COUNTER_ADDRESS", "PUBLIC_URL"})  # the demo is a platform apart


class Command(BaseCommand):
    """Starts the whole platform in a directory of its own, places one callback and shows where the money went."""

    help = "Place one demo call with real processes and print its way from the click to the ledger."
    requires_system_checks: list[str] = []

    def handle(self, *_: Any, **__: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="billing-demo-") as directory, _platform(Path(directory)) as run:
            self._step("platform", f"web {run['url']}, counter {run['counter_address']}, all parts ready")
            with httpx.Client(base_url=run["url"], headers={"apikey": run["api_key"]}, timeout=10) as client:
                call_id = self._place(client)
                self._watch(client, call_id)
                self._show_price(client, call_id)
                self._show_transfers(client)
            self._verify_books(run, directory)

    def _place(self, client: httpx.Client) -> str:
        quote = _answer(client.post("/api/v1/callbacks/quote", json=WISH))
        self._step("balance", f"{_account(client)['available']} {quote['currency']} available")
        self._step("quote", f"{quote['price']} {quote['currency']} per {quote['increment_seconds']} s")
        placed = client.post("/api/v1/callbacks", json=WISH, headers={"Idempotency-Key": f"demo-{os.getpid()}"})
        call = _answer(placed)
        self._step("click", f"{call['id']} {call['status']}, at most {call['max_seconds']} s")
        self._step("hold", f"{call['hold']['amount']} {call['hold']['currency']}")
        return str(call["id"])

    def _watch(self, client: httpx.Client, call_id: str) -> None:
        """Print the history as it grows, until the call was charged."""
        shown, until = 0, time.monotonic() + CALL_SECONDS
        while time.monotonic() < until:
            result = _answer(client.get(f"/api/v1/callbacks/{call_id}"))["result"]
            events = _answer(client.get(f"/api/v1/callbacks/{call_id}/events"))["items"]
            for event in events[shown:]:
                self._step("event", f"{event['at'][11:19]} {event['status']:<11}{event['source']}")
            shown = len(events)
            if result is not None and result["cost"] is not None:
                cost = f"{result['cost']} {result['currency']}"
                self._step("record", f"{result['billable_seconds']} s talked, cost {cost}")
                return
            time.sleep(0.1)
        raise CommandError("the call was not charged in time")

    def _show_price(self, client: httpx.Client, call_id: str) -> None:
        (record,) = _answer(client.get("/api/v1/cdrs", params={"call_id": call_id}))["items"]
        why = _answer(client.get(f"/api/v1/cdrs/{record['cdr_id']}/explain"))
        self._step("charge", f"key {why['charge']['key']}, service {why['charge']['service']}")
        for line in why["price"]["explanation"]["lines"]:
            winner = line["winner"]
            self._step("price", f"{winner['deck']} version {winner['version']}, prefix {winner['prefix']}")
            for step in line["steps"]:
                self._step("price", f"  {step['what']:<12}{step['amount']}")

    def _show_transfers(self, client: httpx.Client) -> None:
        account = _account(client)
        for line in _answer(client.get(f"/api/v1/accounts/{account['accno']}/transfers"))["items"][::-1]:
            moved = f"{line['change']:>11} {line['counterpart']:<17}"
            cause = f"{line['cause_type']} {line['cause_id']}"
            self._step("ledger", f"{moved} cause {cause}, balance {line['balance_after']}")
        self._step("balance", f"{account['available']} {account['currency']} available, {account['held']} held")

    def _verify_books(self, run: dict[str, Any], directory: str) -> None:
        places = {"VAR_DIR": directory, "DATABASE_URL": run["database_url"], "REDIS_URL": run["redis_url"]}
        verified = subprocess.run(
            [sys.executable, "manage.py", "verify_ledger"], cwd=settings.BASE_DIR, env=os.environ | places,
            stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        self.stdout.write(verified.stdout)
        if verified.returncode != 0:
            raise CommandError("the books do not agree", returncode=verified.returncode)

    def _step(self, what: str, text: str) -> None:
        self.stdout.write(f"{what:<9} {text}")
        self.stdout.flush()


@contextmanager
def _platform(directory: Path) -> Iterator[dict[str, Any]]:
    """`manage.py up` on free ports; answers what it prints when it is ready."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    environment |= {"VAR_DIR": str(directory), "SIMULATOR_SPEED": SPEED}
    command = [sys.executable, "manage.py", "up", "--ports-from-kernel", "--workers", "1", "--print-json"]
    with subprocess.Popen(  # noqa: S603  our own command
        command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
    ) as popen:
        assert popen.stdout is not None
        try:
            line = popen.stdout.readline()
            if not line:
                raise CommandError("the platform did not start; its messages stand above")
            yield json.loads(line)
        finally:
            popen.send_signal(signal.SIGINT)
            popen.wait(STOP_SECONDS)


def _account(client: httpx.Client) -> dict[str, Any]:
    bound = _answer(client.get("/api/billaccounts/from-organization/", params={"organization_id": demo.ORGANIZATION}))
    return _answer(client.get(f"/api/v1/accounts/{bound['accno']}"))


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        asked = f"{response.request.method} {response.request.url.path}"
        raise CommandError(f"{asked}: {response.status_code} {response.text}")
    answer: dict[str, Any] = response.json()
    return answer

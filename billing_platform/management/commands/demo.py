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

CUSTOMER = "13912348888"
START_SECONDS = 120.0
CALL_SECONDS = 60.0
SPEED = "10"  # the simulator plays the call ten times faster; its record says what it would have lasted
FINAL = {"ended", "failed", "cancelled", "expired"}


class Command(BaseCommand):
    """Starts the whole platform in a directory of its own, places one callback and shows where the money went."""

    help = "Place one demo call with real processes and print its way from the click to the ledger."
    requires_system_checks: list[str] = []

    def handle(self, *_: Any, **__: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="billing-demo-") as directory, self._platform(Path(directory)) as run:
            with httpx.Client(base_url=run["url"], headers={"apikey": run["api_key"]}, timeout=10) as client:
                self._step("platform", f"web {run['url']}, counter {run['counter_address']}, all parts ready")
                call_id = self._place(client)
                self._watch(client, call_id)
                self._show_charge(client, call_id)
            self._show_books(run, Path(directory))

    @contextmanager
    def _platform(self, directory: Path) -> Iterator[dict[str, Any]]:
        environment = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
        environment |= {"VAR_DIR": str(directory), "SIMULATOR_SPEED": SPEED}
        command = [sys.executable, "manage.py", "up", "--ports-from-kernel", "--workers", "1", "--print-json"]
        popen = subprocess.Popen(  # noqa: S603  our own command
            command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert popen.stdout is not None
        try:
            line = popen.stdout.readline()
            if not line:
                raise CommandError("the platform did not start; its messages stand above")
            yield json.loads(line)
        finally:
            popen.send_signal(signal.SIGINT)
            popen.wait(60)

    def _place(self, client: httpx.Client) -> str:
        balance = self._balance(client)
        quote = _answer(client.post("/api/v1/callbacks/quote", json=_wish()))
        self._step(
            "quote", f"{quote['price']} {quote['currency']} per {quote['increment_seconds']} s, balance {balance}"
        )
        call = _answer(
            client.post("/api/v1/callbacks", json=_wish(), headers={"Idempotency-Key": f"demo-{os.getpid()}"})
        )
        hold = call["hold"]
        self._step("click", f"{call['id']} {call['status']}: {hold['amount']} {hold['currency']} held, "
                            f"at most {call['max_seconds']} s ({call['limit_reason']})")  # fmt: skip
        return str(call["id"])

    def _watch(self, client: httpx.Client, call_id: str) -> None:
        shown: set[str] = set()
        until = time.monotonic() + CALL_SECONDS
        while time.monotonic() < until:
            for event in _answer(client.get(f"/api/v1/callbacks/{call_id}/events"))["items"]:
                if event["id"] not in shown:
                    shown.add(event["id"])
                    self._step("event", f"{event['state']} at {event['at']}")
            call = _answer(client.get(f"/api/v1/callbacks/{call_id}"))
            if call["status"] in FINAL and call.get("cost") is not None:
                self._step("record", f"{call['billable_seconds']} s talked, cost {call['cost']} {call['currency']}")
                return
            time.sleep(0.2)
        raise CommandError("the call was not charged in time")

    def _show_charge(self, client: httpx.Client, call_id: str) -> None:
        records = _answer(client.get("/api/v1/cdrs", params={"call_id": call_id}))["items"]
        why = _answer(client.get(f"/api/v1/cdrs/{records[0]['id']}/explain"))
        for line in why["price"]["lines"]:
            winner = line["winner"]
            self._step("price", f"deck {winner['deck']} version {winner['version']}, prefix {winner['prefix']}")
            for step in line["steps"]:
                self._step("price", f"  {step['what']:<12}{step['amount']}")
        self._step("balance", self._balance(client))

    def _balance(self, client: httpx.Client) -> str:
        bound = _answer(
            client.get("/api/billaccounts/from-organization/", params={"organization_id": demo.ORGANIZATION})
        )
        account = _answer(client.get(f"/api/v1/accounts/{bound['accno']}"))
        return f"{account['balance']} {account['currency']}"

    def _show_books(self, run: dict[str, Any], directory: Path) -> None:
        environment = os.environ | {
            "VAR_DIR": str(directory), "DATABASE_URL": run["database_url"], "REDIS_URL": run["redis_url"]
        }  # fmt: skip
        command = [sys.executable, "manage.py", "verify_ledger"]
        verified = subprocess.run(  # noqa: S603  our own command
            command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        self.stdout.write(verified.stdout)
        if verified.returncode != 0:
            raise CommandError("the books do not agree", returncode=verified.returncode)

    def _step(self, what: str, text: str) -> None:
        self.stdout.write(f"{what:<9} {text}")
        self.stdout.flush()


def _wish() -> dict[str, object]:
    return {"customer_number": CUSTOMER, "agent_number": "13800000001"}


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise CommandError(
            f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}"
        )
    answer: dict[str, Any] = response.json()
    return answer

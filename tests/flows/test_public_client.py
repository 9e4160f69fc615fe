"""The unmodified public client against the real counter and the real web server: every call that it knows."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from billing_platform import clock
from billing_platform.models import Membership, Role, Scope
from counter import subscriptions
from counter.models import Application, Organization, ServiceRecord
from ledger import accounts
from tests import cast
from tests.counter.told import breaches, money, transfers_of_uses
from tests.processes import running_counter, running_web

PROGRAM = Path(__file__).with_name("public_client.py")


class PublicClient:
    """Asks the package in its own process."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def _asked(self, door: str, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps({"door": door, "call": call, "with": arguments}) + "\n")
        self._popen.stdin.flush()
        answer: dict[str, Any] = json.loads(self._popen.stdout.readline())
        return answer

    def ask(self, door: str, call: str, **arguments: Any) -> Any:
        answer = self._asked(door, call, arguments)
        assert "answer" in answer, answer
        return answer["answer"]

    def refused(self, door: str, call: str, **arguments: Any) -> dict[str, Any]:
        answer = self._asked(door, call, arguments)
        assert "refused" in answer, answer
        refusal: dict[str, Any] = answer["refused"]
        return refusal


@contextmanager
def public_client(grpc_address: str, web: str, key: str, directory: Path) -> Iterator[PublicClient]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    with (directory / "client.log").open("w") as log:
        popen = subprocess.Popen(
            [sys.executable, str(PROGRAM), grpc_address, web, key],
            cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            assert popen.stdout is not None
            ready = popen.stdout.readline()
            assert json.loads(ready or "{}") == {"ready": True}, (directory / "client.log").read_text()
            yield PublicClient(popen)
        finally:
            popen.kill()
            popen.wait()


@contextmanager
def away(database: Any) -> Iterator[None]:
    """Nobody can reach the test's database meanwhile."""
    connection.close()
    with closing(psycopg2.connect(database.url.replace(f"/{database.name}?", "/postgres?"))) as other:
        other.autocommit = True
        with other.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false')
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
            try:
                yield
            finally:
                cursor.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS true')


@pytest.fixture
def acme(fresh_database):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_item("meeting", "per_duration", price="0.12", opened_for=(account,))
    cast.make_item("dear", price="500", opened_for=(account,))
    cast.make_item("closed", price="0.05")
    cast.make_item("seats", "resource", limits=3, opened_for=(account,))
    cast.make_item("app", price="0", is_application=True, opened_for=(account,))
    Application.objects.create(code="app", name="App")
    return account


@pytest.fixture
def package(acme, tmp_path):
    key = cast.make_key("acme", Scope.COUNTER_READ, Scope.COUNTER_USE, Scope.COUNTER_ADMIN)
    with (
        running_counter(tmp_path) as counter,
        running_web(tmp_path) as web,
        public_client(counter.ready["address"], web, key, tmp_path) as client,
    ):
        yield client
    connection.close()
    assert breaches() == []


def test_the_whole_contract_over_grpc(acme, package):
    assert importlib.metadata.version("onlyuserclient") == "1.3.2"
    made = package.ask("grpc", "create_account", owner="7", kind=0, name="Seven")
    assert (made["accno"][0], made["balance"], made["state"], made["kind"]) == ("P", 0.0, "active", 0)
    assert package.ask("grpc", "create_account", owner="7", kind=0, name="Seven")["accno"] == made["accno"]
    other_name = package.refused("grpc", "create_account", owner="7", kind=0, name="Eight")
    assert other_name == {"status": "ALREADY_EXISTS", "reason": "idempotency_conflict", "code": "709"}
    assert package.ask("grpc", "query_account", userid="7")["accno"] == made["accno"]
    found = package.ask("grpc", "query_account", applicationid="app", organizationid="acme")
    assert (found["accno"], found["balance"], found["kind"]) == (acme.accno, 100.0, 1)
    assert package.refused("grpc", "query_account", userid="8")["code"] == "702"

    assert package.ask("grpc", "usable_service", accno=acme.accno, label="sms") is True
    assert package.ask("grpc", "usable_service", accno=acme.accno, label="closed") is False
    assert package.refused("grpc", "usable_service", accno=acme.accno, label="nothing")["code"] == "708"
    assert package.ask("grpc", "query_account_service", accno=acme.accno, label="sms") == [-1, ""]
    assert package.ask("grpc", "query_account_service", accno=acme.accno, label="closed")[0] == 704

    now = clock.now()
    use = {"accno": acme.accno, "label": "meeting", "providerno": "p1"}
    begun = (now - timedelta(seconds=95)).isoformat()
    checked = package.ask("grpc", "start_service", **use, usable=True)
    assert (checked["svcno"], checked["expire"]) == ("", "")
    started = package.ask(
        "grpc", "start_service", **use, start_time=begun, expire=(now + timedelta(hours=1)).isoformat()
    )
    assert started["svcno"].startswith("S")
    assert money(acme) == ("100", "1.2")
    assert package.ask("grpc", "keep_service", **use) is None
    assert money(acme) == ("100", "2.4")
    end = use | {"start_time": begun, "finish_time": now.isoformat()}
    ended = package.ask("grpc", "end_service", **end)
    assert (ended["svcno"], ended["count"]) == (started["svcno"], 2.0)
    assert ended["cost"] == pytest.approx(0.24, abs=1e-7)
    assert package.ask("grpc", "end_service", **end) == ended
    later = (now + timedelta(seconds=1)).isoformat()
    assert package.refused("grpc", "end_service", **end | {"finish_time": later})["status"] == "ALREADY_EXISTS"
    assert package.refused("grpc", "start_service", **use, start_time=begun)["status"] == "ALREADY_EXISTS"
    assert package.refused("grpc", "start_service", accno=acme.accno, label="dear", providerno="d")["code"] == "706"
    alone = package.ask("grpc", "end_service", **end | {"label": "sms", "providerno": "p2"})
    assert alone["cost"] == pytest.approx(0.05, abs=1e-7)
    naive = package.refused("grpc", "end_service", **end | {"providerno": "p3", "start_time": "2026-03-02T10:00:00"})
    assert (naive["status"], naive["code"]) == ("INVALID_ARGUMENT", "712")

    seats = {"accno": acme.accno, "label": "seats"}
    assert package.ask("grpc", "increase_resource", **seats, count=2) is None
    assert package.ask("grpc", "increase_resource", **seats, total=3) is None
    assert package.refused("grpc", "increase_resource", **seats)["code"] == "707"
    assert package.ask("grpc", "reduce_resource", **seats, count=3) is None
    assert package.refused("grpc", "reduce_resource", **seats)["status"] == "FAILED_PRECONDITION"

    child = cast.make_account("acme", owner="child", parent=acme)
    subscriptions.open_service(child.accno, "sms", at=cast.LONG_AGO)
    assert package.ask("grpc", "query_subaccounts", parent=acme.accno) == [child.accno]
    assert package.ask("grpc", "query_subaccounts", parent=acme.accno, label="sms") == [acme.accno, child.accno]
    assert (money(acme), transfers_of_uses()) == (("99.71", "0"), [Decimal("0.24"), Decimal("0.05")])


def test_the_whole_contract_over_rest(acme, package, fresh_database):
    own = accounts.open_account(kind="personal", name="Seven", owner="7", organization="acme")
    assert package.ask("billing", "get_account_by_user", userid="7") == own.accno
    assert package.refused("billing", "get_account_by_user", userid="8")["kind"] == "BillAccountNotExist"
    assert package.ask("billing", "get_accno_from_organization", organization_id="acme") == acme.accno
    assert package.ask("billing", "get_accno_from_organization", organization_id="nobody") is None
    assert package.ask("billing", "query_subaccounts", parent=acme.accno, label="sms") == [acme.accno]
    assert package.ask("billing", "usable_service", accno=acme.accno, label="sms") is True
    assert package.ask("billing", "usable_service", accno=acme.accno, label="closed") is False
    unknown = package.refused("billing", "usable_service", accno=acme.accno, label="nothing")
    assert (unknown["status"], unknown["code"]) == (404, 708)

    now = clock.now().replace(microsecond=0)
    use = {"accno": acme.accno, "label": "meeting", "providerno": "p1"}
    begun, finished = (now - timedelta(seconds=95)).isoformat(), now.isoformat()
    svcno, expire = package.ask("billing", "request_service", **use, start_time=begun)
    assert expire > now.isoformat()
    end = use | {"start_time": begun, "finish_time": finished}
    ended = package.ask("billing", "finished_service", **end)
    assert (ended["svcno"], ended["cost"], ended["duplicate"]) == (svcno, "0.24", False)
    assert package.ask("billing", "finished_service", **end) == ended | {"duplicate": True}

    for status, code, call, arguments in (
        (409, 709, "finished_service", end | {"count": 2}),
        (409, 710, "request_service", use | {"start_time": begun}),
        (403, 704, "request_service", use | {"label": "closed", "providerno": "p2"}),
        (403, 706, "request_service", use | {"label": "dear", "providerno": "p3"}),
        (404, 701, "request_service", use | {"accno": "C99999999"}),
        (400, 715, "request_service", use | {"label": "seats"}),
    ):
        refused = package.refused("billing", call, **arguments)
        assert (refused["kind"], refused["status"], refused["code"]) == ("BillingFail", status, code)

    seats = {"accno": acme.accno, "label": "seats"}
    assert package.ask("billing", "increase_resource", **seats, count=2) == {"usage": 2, "limits": 3}
    assert package.refused("billing", "increase_resource", **seats, total=4)["code"] == 707
    assert package.ask("billing", "reduce_resource", **seats, total=0) == {"usage": 0, "limits": 3}

    with away(fresh_database):
        trouble = package.refused("billing", "finished_service", **end | {"providerno": "p9"})
    assert (trouble["kind"], trouble["status"], trouble["code"]) == ("BillingFail", 441, 700)
    assert package.ask("billing", "finished_service", **end | {"providerno": "p9"})["cost"] == "0.24"
    assert (money(acme), ServiceRecord.objects.filter(state="ended").count()) == (("99.52", "0"), 2)


def test_the_identity_calls(acme, package):
    Organization.objects.create(code="north", name="North", parent=Organization.objects.get(code="acme"))
    ann = get_user_model().objects.create(username="ann", first_name="Ann")
    Membership.objects.create(user=ann, organization="north", role=Role.AGENT)
    ann_id = str(ann.pk)
    shown = {"id": ann_id, "username": "ann", "nickname": "Ann"}

    assert package.ask("identity", "get_organization_billaccount", organization_id="north") == acme.accno
    assert package.ask("identity", "get_organization_billaccount", organization_id="nobody") is None
    assert package.ask("identity", "get_organization_users", organization_id="acme") == [shown]
    assert package.ask("identity", "query_bindorganizations", accno=acme.accno) == [{"id": "acme", "name": "Acme"}]
    assert package.ask("identity", "get_application_info", application_id="app") == {"id": "app", "name": "App"}
    assert package.ask("identity", "get_organization_info", organization_id="north") == {"id": "north", "name": "North"}
    assert package.ask("identity", "get_user_info", user_id=ann_id) == shown
    members = {"user_id": ann_id, "organization_id": "north"}
    assert package.ask("identity", "query_user_organizationmembers", **members) == [shown]
    ticket = {"application": "app", "user": ann_id, "organization": "north"}
    assert package.ask("identity", "apply_application", **ticket) == [0, ""]
    code, detail = package.ask("identity", "apply_application", **ticket | {"organization": None})
    assert (code, bool(detail)) == (703, True)

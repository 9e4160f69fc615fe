"""Bad bodies at every door that takes JSON: refused as each row says, in the door's own words, and nothing moves.

Rows are named as in the table of bad input; call records and webhooks have their own tests. Doors of the counter's
public contract answer 400 where others say 413, 415 or 422.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import pytest
from django.http import HttpResponse
from django.test import Client

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.models import AuditEntry, OutboxEvent, Scope
from callcontrol.models import Callback
from counter.models import ServiceRecord
from ledger import adjustments
from ledger.accounts import Account
from ledger.funding import Funding
from tests.cast import make_account, make_deck, make_item, make_key, price_by
from tests.ledger_facts import ledger_fingerprint
from tests.processes import running_counter

MONEY = {"amount": "5", "reference": "bank 1", "reason": "transfer slip"}
USE = {"label": "sms", "providerno": "p1", "start_time": "2026-11-02 02:00:12"}


@dataclass(frozen=True)
class Door:
    """An address, a body that it would accept, and a field of that body that holds text."""

    path: str
    body: dict[str, object]
    text: str
    senseless: int = 422  # its answer to what is well-formed and makes no sense
    is_contract: bool = False


DOORS = (
    Door("/api/v1/callbacks", {"customer_number": "13912345678"}, "customer_number", senseless=400),
    Door("/api/v1/callbacks/quote", {"customer_number": "13912345678"}, "customer_number", senseless=400),
    Door("/api/v1/accounts/ACCNO/top-ups", MONEY, "reference"),
    Door("/api/v1/accounts/ACCNO/adjustments", MONEY, "reference"),
    Door("/api/v1/accounts/ACCNO/adjustments/REQUEST/reject", {"reason": "no"}, "reason"),
    Door("/api/v1/rates/explain", {"called": "13912345678", "seconds": 60}, "called"),
    Door("/api/billaccounts/ACCNO/usable-service/", {"label": "sms"}, "label", senseless=400, is_contract=True),
    Door("/api/billaccounts/ACCNO/request-service/", USE, "providerno", senseless=400, is_contract=True),
    Door(
        "/api/billaccounts/ACCNO/increase-resource/",
        {"label": "seats", "count": 1},
        "label",
        senseless=400,
        is_contract=True,
    ),
)
LITERALS = {  # written into the body in place of the text field, as no serializer would
    "B05 brackets": "[" * 100_000,
    "B06 NaN": "NaN",
    "B06 Infinity": "-Infinity",
    "B07 1e999": "1e999",
    "B09 5,000 digits": "9" * 5000,
    "B20 NUL": '"a\\u0000b"',
    "B21 lone surrogate": '"\\ud800"',
}
numbers = count(1)
PROTECTED = ("balance", "owner", "is_staff", "price", "state", "id")


@pytest.fixture(scope="module")
def account(module_database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    account = make_account("acme", money="100.00")
    make_item("sms", opened_for=(account,))
    make_item("callback", "by_deck", opened_for=(account,))
    make_deck("main", ",0.12,60,60")
    price_by("main", label="callback", organization="acme")
    with running_counter(tmp_path_factory.mktemp("bodies")):
        yield account


@pytest.fixture(scope="module")
def program(account: Account) -> Client:
    return Client(raise_request_exception=False, headers={"apikey": make_key("acme", *Scope.values)})


def waiting_request(account: Account) -> str:
    """The number of an adjustment that waits for a second person."""
    asked = Funding(account.accno, Decimal("-90000"), "bank 9", clock.now())
    return str(adjustments.request_adjustment(asked, by=Caller("person", "1", "acme", name="fred")).id)


def moved() -> tuple[object, ...]:
    """What a body that slipped through would have changed."""
    rows = (Callback, ServiceRecord, OutboxEvent, AuditEntry)
    return ledger_fingerprint(), *(model.objects.count() for model in rows)


def literal(door: Door, text: str) -> bytes:
    return json.dumps(door.body | {door.text: "@@"}).replace('"@@"', text).encode()


def refused(
    program: Client, account: Account, door: Door, body: bytes, *, content_type: str = "application/json", key: str = ""
) -> HttpResponse:
    """The answer, after the proof that it is a refusal in the door's own form and that nothing has moved."""
    path = door.path.replace("ACCNO", account.accno).replace("REQUEST", waiting_request(account))
    headers, before = {"Idempotency-Key": key or f"k{next(numbers)}"}, moved()
    answer = program.post(path, body, content_type=content_type, headers=headers)
    problem = json.loads(answer.content)

    assert problem["code"], answer.content
    if door.is_contract:
        assert set(problem) >= {"code", "reason", "detail"}
    else:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert problem["status"] == answer.status_code
    assert moved() == before
    return answer


def each_door(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(name, DOORS, ids=[door.path for door in DOORS])


@each_door("door")
@pytest.mark.parametrize("row", LITERALS)
def test_what_no_sender_means_is_malformed(program: Client, account: Account, door: Door, row: str) -> None:
    assert refused(program, account, door, literal(door, LITERALS[row])).status_code == 400


@each_door("door")
@pytest.mark.parametrize("row", ["truncated", "trailing comma", "blank", "no JSON", "BOM", "UTF-16", "name twice"])
def test_b01_b02_b23_broken_text_is_malformed(program: Client, account: Account, door: Door, row: str) -> None:
    good = json.dumps(door.body).encode()
    body = {
        "truncated": good[:-3], "trailing comma": good[:-1] + b",}", "blank": b" ", "no JSON": b"a=b",
        "BOM": b"\xef\xbb\xbf" + good, "UTF-16": good.decode().encode("utf-16"),
        "name twice": good[:-1] + f', "{door.text}": "x"}}'.encode(),
    }[row]  # fmt: skip

    assert refused(program, account, door, body).status_code == 400


@each_door("door")
def test_b02_another_content_type_is_not_read(program: Client, account: Account, door: Door) -> None:
    answer = refused(program, account, door, json.dumps(door.body).encode(), content_type="text/plain")

    assert answer.status_code == 415


@each_door("door")
def test_b03_a_body_beyond_the_limit_is_not_parsed(program: Client, account: Account, door: Door) -> None:
    answer = refused(program, account, door, literal(door, '"' + "x" * 300_000 + '"'))

    assert answer.status_code == 413


@each_door("door")
@pytest.mark.parametrize("field", PROTECTED)
def test_b24_b51_fields_that_nobody_may_write(program: Client, account: Account, door: Door, field: str) -> None:
    answer = refused(program, account, door, json.dumps(door.body | {field: "1"}).encode())

    assert answer.status_code == door.senseless
    assert field in answer.content.decode()


@each_door("door")
def test_b50_a_key_that_is_no_key(program: Client, account: Account, door: Door) -> None:
    if door.path in {"/api/v1/callbacks", "/api/v1/accounts/ACCNO/top-ups", "/api/v1/accounts/ACCNO/adjustments"}:
        answer = refused(program, account, door, json.dumps(door.body).encode(), key="x" * 300)
        assert answer.status_code == 400

"""REST of the ledger: who may see and move what, exact figures, nothing moves on a refusal."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform.auth import issue_key
from billing_platform.models import Membership
from ledger.accounts import Account, read_account
from ledger.models import AdjustmentRequest
from ledger.posting import NewTransfer, post_transfers
from tests.ledger_facts import LEDGER_CHECKS, NOON, assert_books_clean, funded_account, ledger_fingerprint

pytestmark = pytest.mark.django_db


class Program:
    """A program with an API key."""

    def __init__(self, *scopes: str, organization: str = "acme") -> None:
        self.key = issue_key(name="test", organization=organization, scopes=list(scopes))
        self.client = Client()

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1/accounts/{path}", headers={"apikey": self.key})

    def post(self, path: str, body: object, *, idempotency_key: str = "k1") -> Any:
        return self.client.post(
            f"/api/v1/accounts/{path}", json.dumps(body), content_type="application/json",
            headers={"apikey": self.key, "Idempotency-Key": idempotency_key},
        )  # fmt: skip


def person(name: str, role: str, organization: str = "acme") -> Client:
    user = User.objects.create_user(name, password="long enough 1")
    Membership.objects.create(user=user, organization=organization, role=role)
    client = Client()
    client.force_login(user)
    return client


def post_json(client: Client, path: str, body: object) -> Any:
    return client.post(f"/api/v1/accounts/{path}", json.dumps(body), content_type="application/json")


def top_up_of(amount: object, reference: str = "bank 1", **more: object) -> dict[str, object]:
    return {"amount": amount, "reference": reference, "reason": "transfer slip", **more}


def charged(account: Account, *amounts: str) -> None:
    post_transfers(
        [
            NewTransfer(account.id, -Decimal(amount), "revenue:voice", "use", f"{account.accno} {number}", NOON)
            for number, amount in enumerate(amounts)
        ]
    )


def test_account_shows_exact_amounts_as_text() -> None:
    account = funded_account("12.5", credit_limit="3")

    response = Program("ledger:read").get(account.accno)

    assert response.status_code == 200
    assert response.json() == {
        "accno": account.accno, "kind": "company", "name": account.name, "owner": account.owner, "organization": "acme",
        "parent": "", "currency": "CNY", "balance": "12.500000", "held": "0.000000", "available": "15.500000",
        "credit_limit": "3.000000", "warning_threshold": "0.000000", "state": "active",
    }  # fmt: skip


def test_transfers_run_back_in_pages_with_the_balance_after_each() -> None:
    account = funded_account("10")
    charged(account, "1", "2", "3.5")
    reader = Program("ledger:read")

    first = reader.get(f"{account.accno}/transfers?limit=3").json()
    charged(funded_account("5"), "1")  # what happens elsewhere
    second = reader.get(f"{account.accno}/transfers?limit=3&cursor={first['next_cursor']}").json()

    lines = [(item["change"], item["balance_after"], item["counterpart"]) for item in first["items"] + second["items"]]
    assert lines == [
        ("-3.500000", "3.500000", "revenue:voice"),
        ("-2.000000", "7.000000", "revenue:voice"),
        ("-1.000000", "9.000000", "revenue:voice"),
        ("10.000000", "10.000000", "settlement"),
    ]
    assert (first["currency"], second["next_cursor"]) == ("CNY", None)


def test_later_transfers_do_not_change_the_pages_behind() -> None:
    account = funded_account("10")
    charged(account, "1", "2")
    reader = Program("ledger:read")
    first = reader.get(f"{account.accno}/transfers?limit=1").json()

    post_transfers([NewTransfer(account.id, Decimal(50), "settlement", "top_up", "new", NOON)])
    second = reader.get(f"{account.accno}/transfers?limit=1&cursor={first['next_cursor']}").json()

    assert (first["items"][0]["balance_after"], second["items"][0]["balance_after"]) == ("7.000000", "9.000000")


@pytest.mark.parametrize("query", ["limit=201", "limit=0", "cursor=abc", "org__balance__gt=1", "ordering=owner"])
def test_odd_queries_are_refused(query: str) -> None:
    account = funded_account("10")

    response = Program("ledger:read").get(f"{account.accno}/transfers?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_top_up_moves_money_once_and_answers_the_same() -> None:
    account = funded_account("1")
    writer = Program("ledger:write")

    first = writer.post(f"{account.accno}/top-ups", top_up_of("20.5"))
    replayed = writer.post(f"{account.accno}/top-ups", top_up_of("20.5"))
    other_key = writer.post(f"{account.accno}/top-ups", top_up_of("20.5"), idempotency_key="k2")

    assert (first.status_code, replayed.status_code, other_key.status_code) == (201, 201, 200)
    assert first.json() == replayed.json()
    assert first.json() == {
        "accno": account.accno, "currency": "CNY", "transfer_id": first.json()["transfer_id"], "amount": "20.5",
        "repeated": False, "balance": "21.500000", "state": "active",
    }  # fmt: skip
    assert (other_key.json()["transfer_id"], other_key.json()["repeated"]) == (first.json()["transfer_id"], True)
    assert read_account(account.id).balance == Decimal("21.5")
    assert_books_clean(LEDGER_CHECKS)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (top_up_of("0"), 422, "amount"),
        (top_up_of("-1"), 422, "amount"),
        (top_up_of("1000000000000000000"), 422, "amount"),
        (top_up_of("1.0000001"), 422, "amount"),
        (top_up_of("1e3"), 422, "amount"),
        (top_up_of("NaN"), 422, "amount"),
        (top_up_of(1.5), 422, "amount"),
        (top_up_of(True), 422, "amount"),  # noqa: FBT003
        (top_up_of("1", currency="USD"), 422, "currency"),
        (top_up_of("1", ""), 422, "reference"),
        ({"amount": "1", "reference": "x"}, 422, "reason"),
        *((top_up_of("1", **{name: "1"}), 422, name) for name in (
            "balance", "held", "credit_limit", "organization", "owner", "state", "id", "accno", "account_id",
            "counterpart", "cause_type", "effective_at", "created_at", "is_staff", "price",
        )),
    ],
)  # fmt: skip
def test_odd_top_ups_are_refused_and_nothing_moves(body: dict[str, object], status: int, field: str) -> None:
    account = funded_account("1")
    before = ledger_fingerprint()

    response = Program("ledger:write").post(f"{account.accno}/top-ups", body)

    assert (response.status_code, list(response.json()["errors"])) == (status, [field])
    assert ledger_fingerprint() == before


def test_program_must_name_its_request() -> None:
    account = funded_account("1")
    before = ledger_fingerprint()

    response = Program("ledger:write").post(f"{account.accno}/top-ups", top_up_of("1"), idempotency_key="")

    assert response.status_code == 400
    assert ledger_fingerprint() == before


@pytest.mark.parametrize("path", ["", "/transfers", "/adjustments"])
def test_account_of_another_organisation_is_not_there(path: str) -> None:
    echo = funded_account("1", organization="echo")
    acme = Program("ledger:read", "ledger:write")

    foreign, missing = acme.get(f"{echo.accno}{path}"), acme.get(f"C99999999{path}")

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json() == missing.json()


@pytest.mark.parametrize("path", ["top-ups", "adjustments"])
def test_nobody_moves_money_of_another_organisation(path: str) -> None:
    echo = funded_account("1", organization="echo")
    before = ledger_fingerprint()

    response = Program("ledger:write").post(f"{echo.accno}/{path}", top_up_of("5"))

    assert (response.status_code, response.json()["code"]) == (404, "account_not_found")
    assert ledger_fingerprint() == before


def test_reading_scope_writes_nothing_and_other_scopes_see_nothing() -> None:
    account = funded_account("1")
    before = ledger_fingerprint()

    assert Program("ledger:read").post(f"{account.accno}/top-ups", top_up_of("5")).status_code == 403
    assert Program("cdr:write", "finance:read").get(account.accno).status_code == 403
    assert Client().get(f"/api/v1/accounts/{account.accno}").status_code == 401

    assert ledger_fingerprint() == before


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("agent", 403, 403), ("rate_admin", 403, 403), ("supervisor", 200, 403), ("ops", 200, 403),
        ("auditor", 200, 403), ("finance", 200, 201), ("platform_admin", 200, 403),
    ],
)  # fmt: skip
def test_roles(role: str, reads: int, writes: int) -> None:
    account = funded_account("1")
    somebody = person("somebody", role)

    assert somebody.get(f"/api/v1/accounts/{account.accno}").status_code == reads
    assert post_json(somebody, f"{account.accno}/top-ups", top_up_of("5")).status_code == writes
    assert read_account(account.id).balance == (6 if writes == 201 else 1)


def test_small_adjustment_is_posted_at_once_in_either_direction() -> None:
    account = funded_account("10")
    writer = Program("ledger:write")

    down = writer.post(f"{account.accno}/adjustments", top_up_of("-4", "case 1"))
    up = writer.post(f"{account.accno}/adjustments", top_up_of("1000", "case 2"), idempotency_key="k2")

    assert [(answer.status_code, answer.json()["balance"]) for answer in (down, up)] == [
        (201, "6.000000"), (201, "1006.000000"),
    ]  # fmt: skip


def test_large_adjustment_waits_for_another_person() -> None:
    account = funded_account("10")
    alice, bob = person("alice", "finance"), person("bob", "finance")
    before = ledger_fingerprint()

    asked = post_json(alice, f"{account.accno}/adjustments", top_up_of("-1000.01", "case 1"))
    path = f"{account.accno}/adjustments/{asked.json()['id']}/approve"
    alone = post_json(alice, path, {})
    assert ledger_fingerprint() == before
    waiting = bob.get(f"/api/v1/accounts/{account.accno}/adjustments").json()["items"]
    approved, twice = post_json(bob, path, {}), post_json(bob, path, {})

    assert (asked.status_code, asked.json()["state"], asked.json()["requested_by"]) == (202, "pending", "person:alice")
    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_needed")
    assert [(item["amount"], item["reason"]) for item in waiting] == [("-1000.010000", "transfer slip")]
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    assert (twice.status_code, twice.json()["code"]) == (409, "adjustment_decided")
    assert read_account(account.id).balance == Decimal("-990.01")
    assert_books_clean(LEDGER_CHECKS)


def test_rejected_adjustment_moves_nothing() -> None:
    account = funded_account("10")
    asked = Program("ledger:write").post(f"{account.accno}/adjustments", top_up_of("5000", "case 1"))
    before = ledger_fingerprint()

    rejected = post_json(
        person("bob", "finance"), f"{account.accno}/adjustments/{asked.json()['id']}/reject", {"reason": "no proof"}
    )

    assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
    assert ledger_fingerprint() == before
    assert AdjustmentRequest.objects.get().decided_by == "person:bob"


def test_adjustment_is_found_only_under_its_own_account() -> None:
    account, other = funded_account("10"), funded_account("10")
    asked = Program("ledger:write").post(f"{account.accno}/adjustments", top_up_of("5000", "case 1"))

    response = post_json(person("bob", "finance"), f"{other.accno}/adjustments/{asked.json()['id']}/approve", {})

    assert (response.status_code, response.json()["code"]) == (404, "adjustment_not_found")
    assert AdjustmentRequest.objects.get().state == "pending"

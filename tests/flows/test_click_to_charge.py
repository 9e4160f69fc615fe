"""A call from the agent's click to its charge, through the real web, counter, worker and simulator processes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from billing_platform import demo
from tests.flows.live import Platform, shared_platform
from tests.processes import wait_until

TALKED, PRICE = 18, Decimal("0.15")  # what the simulator plays for this number, and one started minute to it
CUSTOMER, REFUSING, SILENT = "13912348888", "13912340010", "13912340002"
OPENING = Decimal("100.00")
NOBODY_TALKED = frozenset({"failed", "ended"})


@pytest.fixture
def platform(lent_database, tmp_path_factory) -> Platform:
    return shared_platform(lent_database, tmp_path_factory)


@pytest.fixture
def program(platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, headers=platform.headers, timeout=60) as client:
        yield client


@pytest.fixture
def agent(platform) -> Iterator[httpx.Client]:
    """A person who logged in through the page, as a browser does."""
    with httpx.Client(base_url=platform.url, timeout=60, follow_redirects=True) as browser:
        browser.get("/login/")
        form = {"username": "agent", "password": demo.PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        entered = browser.post("/login/", data=form, headers={"Referer": f"{platform.url}/login/"})
        assert entered.status_code == 200
        browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
        yield browser


@contextmanager
def standing_still(platform: Platform) -> Iterator[None]:
    """No call goes on meanwhile."""
    address = f"{platform.ready['simulator_url']}/sim/pause"
    httpx.post(address, json={"paused": True}, timeout=60).raise_for_status()
    try:
        yield
    finally:
        httpx.post(address, json={"paused": False}, timeout=60).raise_for_status()


def place(client: httpx.Client, key: str, customer: str) -> httpx.Response:
    body = {"customer_number": customer, "agent_number": "13800000001", "max_seconds": 120}
    return client.post("/api/v1/callbacks", json=body, headers={"Idempotency-Key": key})


def read(client: httpx.Client, path: str, **query: str) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wallet(program: httpx.Client) -> dict[str, Any]:
    bound = read(program, "/api/billaccounts/from-organization/", organization_id=demo.ORGANIZATION)
    account: dict[str, Any] = read(program, f"/api/v1/accounts/{bound['accno']}")
    return account


def settled(client: httpx.Client, call_id: str) -> dict[str, Any]:
    """The call, once its record was noted."""

    def look() -> dict[str, Any] | None:
        call: dict[str, Any] = read(client, f"/api/v1/callbacks/{call_id}")
        return call if call["result"] is not None else None

    call: dict[str, Any] = wait_until(look, what="the record is noted")
    return call


def test_an_agents_click_becomes_one_exact_charge(platform, agent, program):
    before = Decimal(wallet(program)["balance"])

    page = agent.get("/agent/")
    with standing_still(platform):
        placed = place(agent, "click-1", CUSTOMER).json()
        held = wallet(program)
    call = settled(agent, placed["id"])
    after = wallet(program)

    assert "13800000001" in page.text
    assert (placed["status"], placed["hold"]["amount"], placed["max_seconds"]) == ("queued", "0.30", 120)
    assert Decimal(held["balance"]) == before
    assert (call["status"], call["customer_number"]) == ("ended", "139****8888")
    assert (call["result"]["billable_seconds"], Decimal(call["result"]["cost"])) == (TALKED, PRICE)
    assert (Decimal(after["balance"]), Decimal(after["held"])) == (before - PRICE, 0)
    events = [event["status"] for event in read(agent, f"/api/v1/callbacks/{call['id']}/events")["items"]]
    assert events[:2] == ["created", "queued"]
    assert {"a_ringing", "b_ringing", "bridged", "ended"} <= set(events)


def test_the_record_tells_why_it_cost_that(program):
    call = settled(program, place(program, "why-1", CUSTOMER).json()["id"])

    (record,) = read(program, "/api/v1/cdrs", call_id=call["id"])["items"]
    why = read(program, f"/api/v1/cdrs/{record['cdr_id']}/explain")
    (transfer, *_older) = read(program, f"/api/v1/accounts/{wallet(program)['accno']}/transfers")["items"]

    assert (record["state"], record["billable_seconds"], record["cost"]) == ("charged", TALKED, "0.15")
    assert (why["charge"]["key"], why["charge"]["attempts"], why["filter"]) == (call["id"], 1, None)
    (line,) = why["price"]["explanation"]["lines"]
    winner = line["winner"]
    assert (winner["deck"], winner["version"], winner["prefix"]) == ("demo-retail", 1, "8613")
    assert [(step["what"], step["amount"]) for step in line["steps"]] == [("increments", "0.15"), ("round", "0.1500")]
    assert (transfer["counterpart"], Decimal(transfer["change"])) == ("revenue:callback", -PRICE)


def test_a_second_click_with_the_same_key_is_the_same_call(program):
    first = place(program, "twice-1", CUSTOMER)
    again = place(program, "twice-1", CUSTOMER)
    settled(program, first.json()["id"])

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(read(program, "/api/v1/cdrs", call_id=first.json()["id"])["items"]) == 1


def test_a_call_that_the_platform_refuses_moves_nothing(program):
    before = wallet(program)

    refused = place(program, "refused-1", REFUSING)

    assert (refused.status_code, refused.json()["code"]) == (502, "provider_error")
    assert released(program, before) == before


def test_a_call_that_nobody_answers_costs_nothing(program):
    before = wallet(program)

    call = settled(program, place(program, "silent-1", SILENT).json()["id"])

    assert call["status"] in NOBODY_TALKED
    assert (call["result"]["billable_seconds"], call["result"]["cost"]) == (0, None)
    (record,) = read(program, "/api/v1/cdrs", call_id=call["id"])["items"]
    assert (record["state"], record["rule"]) == ("filtered", "unanswered")
    assert released(program, before) == before


def released(program: httpx.Client, before: dict[str, Any]) -> dict[str, Any]:
    """The wallet, once nothing is held any more; the release follows the record."""
    found: dict[str, Any] = wait_until(
        lambda: account if (account := wallet(program))["held"] == before["held"] else None, what="the hold came back"
    )
    return found


def test_the_books_agree_after_a_call(platform, program):
    settled(program, place(program, "books-1", CUSTOMER).json()["id"])

    verified = platform.command("verify_ledger")

    assert verified.returncode == 0, verified.stdout
    assert set(re.findall(r"invariant +\d+: (.*)", verified.stdout)) == {"holds"}
    assert Decimal(wallet(program)["balance"]) < OPENING

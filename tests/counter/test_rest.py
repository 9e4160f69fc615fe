"""The public contract over REST: its own error body, naive UTC text, slashes without redirects, a key always."""

import json

import pytest
from django.db import InterfaceError, OperationalError

from billing_platform.errors import PlatformError, Unavailable
from billing_platform.models import Scope
from billing_platform.problems import platform_error
from counter import subscriptions
from counter.models import Application, ResourceUsage, ServiceRecord
from counter.rest import refusal_response
from ledger import accounts
from tests import cast
from tests.counter.told import money, transfers_of_uses

pytestmark = pytest.mark.usefixtures("books")
START, FINISH = "2026-03-02 02:00:12", "2026-03-02 02:01:47"


@pytest.fixture
def acme(books):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    cast.make_item("meeting", "per_duration", price="0.12", opened_for=(account,))
    cast.make_item("seats", "resource", limits=3, opened_for=(account,))
    return account


@pytest.fixture
def ask(acme, client):
    """Asks with acme's key; answers status and body."""
    key = cast.make_key("acme", Scope.COUNTER_READ, Scope.COUNTER_USE)

    def asked(method, path, body=None, key=key, **more):
        data = {"data": json.dumps(body)} if body is not None else {}
        response = client.generic(
            method, path, content_type="application/json", headers={"apikey": key} if key else {}, **data, **more
        )
        assert response.headers["Content-Type"] == "application/json", response.content
        answer = response.json()
        if response.status_code == 441:
            assert response.headers["Retry-After"] == "2"
        return response.status_code, answer

    return asked


def refused(answer):
    status, body = answer
    assert isinstance(body["detail"], str)
    assert body["detail"]
    return status, body["code"], body["reason"]


def test_an_account_by_number_and_by_person(acme, ask):
    status, account = ask("GET", f"/api/billaccounts/{acme.accno}/")

    assert (status, account) == (200, {
        "id": str(acme.id), "number": acme.accno, "accno": acme.accno, "name": acme.name, "kind": "CO",
        "state": "active", "balance": "100", "credit": "0", "warning": "0", "held": "0", "available": "100",
        "currency": "CNY", "parent": "",
    })  # fmt: skip
    own = accounts.open_account(kind="personal", name="Seven", owner="7", organization="acme")
    status, found = ask("GET", "/api/billaccounts/?userid=7")
    assert (status, found["number"], found["kind"]) == (200, own.accno, "PS")
    assert refused(ask("GET", "/api/billaccounts/?userid=8")) == (404, 702, "account_not_bound")
    assert refused(ask("GET", "/api/billaccounts/")) == (400, 712, "validation")
    assert refused(ask("GET", "/api/billaccounts/C99999999/")) == (404, 701, "account_not_found")


def test_the_account_of_an_organisation_and_sub_accounts(acme, ask):
    child = cast.make_account("acme", owner="child", parent=acme)

    assert ask("GET", "/api/billaccounts/from-organization/?organization_id=acme") == (200, {"accno": acme.accno})
    path = f"/api/billaccounts/{acme.accno}/query-subaccounts/"
    assert ask("GET", path) == (200, {"accounts": [child.accno]})
    assert ask("GET", f"{path}?label=sms") == (200, {"accounts": [acme.accno]})
    missing = ask("GET", "/api/billaccounts/from-organization/?organization_id=nobody")
    assert refused(missing) == (404, 702, "account_not_bound")


def test_a_refusal_of_the_check_is_an_answer_and_unknown_things_are_not_found(acme, ask):
    path = f"/api/billaccounts/{acme.accno}/usable-service/"
    cast.make_item("closed")

    assert ask("POST", path, {"label": "sms", "count": 1, "check_quota": False}) == (
        200, {"usable": True, "code": 0, "reason": "", "detail": ""},
    )  # fmt: skip
    status, answer = ask("POST", path, {"label": "closed", "count": None})
    assert (status, answer["usable"], answer["code"], answer["reason"]) == (200, False, 704, "service_not_open")
    assert refused(ask("POST", path, {"label": "nothing"})) == (404, 708, "service_unknown")


def test_a_use_from_start_to_end_and_again(acme, ask):
    base = f"/api/billaccounts/{acme.accno}"
    begin = {
        "providerno": "p1", "label": "meeting", "start_time": START, "count": 1, "summary": None, "application": None,
        "organization": None, "expire": None,
    }  # fmt: skip
    status, started = ask("POST", f"{base}/request-service/", begin)
    assert (status, started["hold"], started["max_seconds"], started["duplicate"]) == (200, "1.2", 0, False)
    assert len(started["expire"]) == len(START)

    finish = {
        "providerno": "p1", "label": "meeting", "start_time": START, "finish_time": FINISH, "count": 1,
        "summary": "x" * 600, "application": None, "organization": None, "svcno": started["svcno"],
    }  # fmt: skip
    status, ended = ask("POST", f"{base}/finished-service/", finish)

    assert (status, ended) == (200, {
        "svcno": started["svcno"], "start_time": START, "finish_time": FINISH, "count": "2", "cost": "0.24",
        "currency": "CNY", "duplicate": False, "record_id": ended["record_id"],
    })  # fmt: skip
    assert ask("POST", f"{base}/finished-service/", finish) == (200, ended | {"duplicate": True})
    conflict = ask("POST", f"{base}/finished-service/", finish | {"count": 2})
    assert refused(conflict) == (409, 709, "idempotency_conflict")
    assert refused(ask("POST", f"{base}/request-service/", begin)) == (409, 710, "reference_closed")
    assert (money(acme), len(transfers_of_uses())) == (("99.76", "0"), 1)


def test_refusals_have_their_public_status_and_code(acme, ask):
    base = f"/api/billaccounts/{acme.accno}/request-service/"
    cast.make_item("dear", price="500", opened_for=(acme,))
    cast.make_item("closed")

    def begin(label, **more):
        return refused(ask("POST", base, {"label": label, "providerno": "p"} | more))

    assert begin("dear") == (403, 706, "insufficient_balance")
    assert begin("closed") == (403, 704, "service_not_open")
    assert begin("seats") == (400, 715, "wrong_charge_mode")
    assert begin("") == (400, 712, "validation")
    accounts.suspend_account(acme.accno)
    assert begin("sms") == (403, 705, "account_suspended")
    assert money(acme) == ("100", "0")


def test_resources_know_a_real_zero_and_unlimited(acme, ask):
    cast.make_item("lines", "resource", opened_for=(acme,))
    base = f"/api/billaccounts/{acme.accno}"

    def change(verb, **body):
        return ask("POST", f"{base}/{verb}-resource/", body)

    assert change("increase", label="seats", count=2, total=None) == (200, {"usage": 2, "limits": 3})
    assert change("increase", label="seats", count=1, total=3) == (200, {"usage": 3, "limits": 3})
    assert refused(change("increase", label="seats")) == (403, 707, "quota_exceeded")
    assert change("reduce", label="seats", count=1, total=0) == (200, {"usage": 0, "limits": 3})
    assert refused(change("reduce", label="seats")) == (400, 712, "below_zero")
    assert change("increase", label="lines") == (200, {"usage": 1, "limits": None})
    assert refused(change("increase", label="seats", total=-1)) == (400, 712, "validation")
    assert refused(change("increase", label="sms")) == (400, 715, "wrong_charge_mode")
    assert sorted(ResourceUsage.objects.values_list("usage", flat=True)) == [0, 1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"providerno": "p"}, "label"), ({"label": "sms"}, "providerno"), ({"count": True}, "count"),
        ({"count": -1}, "count"), ({"count": "2"}, "count"), ({"count": 1.5}, "count"), ({"count": 2**40}, "count"),
        ({"start_time": "2026-03-02T02:00:12"}, "start_time"), ({"start_time": "2026-03-02 02:00:12Z"}, "start_time"),
        ({"start_time": "2026-02-30 02:00:12"}, "start_time"), ({"start_time": 17}, "start_time"),
        ({"start_time": "1999-01-01 00:00:00"}, "start_time"), ({"balance": "9"}, "balance"),
        ({"summary": 5}, "summary"), ({"organization": "x" * 65}, "organization"), ({"label": "a\u0001"}, "label"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named_and_nothing_is_written(acme, ask, body, field):
    whole = (
        body
        if len(body) == 1 and field in {"label", "providerno"} and field not in body
        else ({"label": "sms", "providerno": "p"} | body)
    )

    status, answer = ask("POST", f"/api/billaccounts/{acme.accno}/request-service/", whole)

    assert (status, answer["code"], list(answer["fields"])) == (400, 712, [field])
    assert not ServiceRecord.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/api/billaccounts/C1/nothing/", 404, "not_found"),
        ("GET", "/onlyuser/nothing/", 404, "not_found"),
        ("DELETE", "/api/billaccounts/C1/", 405, "method_not_allowed"),
        ("GET", "/api/billaccounts/C1/usable-service/", 405, "method_not_allowed"),
        ("POST", "/onlyuser/users/1/", 405, "method_not_allowed"),
    ],
)
def test_unknown_routes_and_methods_answer_in_the_contracts_body(ask, method, path, status, reason):
    assert refused(ask(method, path)) == (status, 712, reason)


@pytest.mark.parametrize(
    "raw", [b" ", b"{", b"[]", b'"x"', b'{"label":"a","label":"b"}', b'{"count":NaN}', b"\xff", b"[" * 100, b"null"]
)
def test_what_is_no_json_object_is_refused_in_the_contracts_body(acme, ask, client, raw):
    response = client.post(
        f"/api/billaccounts/{acme.accno}/usable-service/", raw, content_type="application/json",
        headers={"apikey": cast.make_key("acme", Scope.COUNTER_READ)},
    )  # fmt: skip

    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/json")
    assert response.json()["code"] == 712


def test_a_body_that_is_too_large_is_refused_in_the_contracts_body(acme, ask):
    status, answer = ask("POST", f"/api/billaccounts/{acme.accno}/usable-service/", {"label": "x" * 300_000})

    assert (status, answer["code"], answer["reason"]) == (413, 712, "too_large")


def test_a_key_is_needed_with_the_scope_and_sees_its_organisation_only(acme, ask):
    echo = cast.echo()
    path = f"/api/billaccounts/{acme.accno}/"
    reader = cast.make_key("acme", Scope.COUNTER_READ)

    assert refused(ask("GET", path, key="")) == (401, 713, "unauthenticated")
    assert refused(ask("GET", path, key="nobody.secret")) == (401, 713, "unauthenticated")
    use = {"label": "sms", "providerno": "p"}
    assert refused(ask("POST", f"{path}request-service/", use, key=reader)) == (403, 714, "forbidden")
    for method, tail, body in (
        ("GET", "", None), ("GET", "query-subaccounts/", None), ("POST", "usable-service/", {"label": "sms"}),
        ("POST", "request-service/", use), ("POST", "finished-service/", use),
        ("POST", "increase-resource/", {"label": "seats"}),
    ):  # fmt: skip
        answer = ask(method, f"/api/billaccounts/{echo.accno}/{tail}", body)
        assert refused(answer) == (404, 701, "account_not_found")
    foreign = ask("GET", "/api/billaccounts/from-organization/?organization_id=echo")
    assert refused(foreign) == (404, 702, "account_not_bound")
    assert not ServiceRecord.objects.exists()


@pytest.mark.parametrize("error", [OperationalError(), InterfaceError(), Unavailable(), PlatformError()])
def test_trouble_of_ours_is_441_and_says_when_to_come_back(acme, error, rf):
    answer = refusal_response(platform_error(error), rf.get("/"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (441, "2")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.content)["code"] == 700


def test_the_application_ticket(acme, ask):
    Application.objects.create(code="app", name="App")
    cast.make_item("app", is_application=True)
    path = "/onlyuser/billevents/apply-application/?application=app&user=&organization=acme"

    assert refused(ask("GET", path)) == (403, 703, "application_not_open")
    subscriptions.open_service(acme.accno, "app", at=cast.LONG_AGO)
    assert ask("GET", path) == (200, {"code": 0, "detail": ""})
    for other in ("application=sms&organization=acme", "application=app&organization=nobody", "application=app&user=9"):
        answer = ask("GET", f"/onlyuser/billevents/apply-application/?{other}")
        assert refused(answer) == (403, 703, "application_not_open")
    accounts.suspend_account(acme.accno)
    assert refused(ask("GET", path)) == (403, 703, "application_not_open")

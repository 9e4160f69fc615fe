"""Reading: lists, one record, and why it cost what it cost; nobody sees another organisation's."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform import clock
from billing_platform.models import Membership, Role
from tests.cast import make_key
from tests.cdr.desk import MARCH, Desk, Sender, an_hour_ago, call, make_sender, text


def person(organization: str, role: Role) -> Client:
    user = User.objects.create(username=f"{organization}-{role}")
    Membership.objects.create(user=user, organization=organization, role=role)
    client = Client()
    client.force_login(user)
    return client


def test_explanation_leads_from_the_delivery_to_the_price(desk: Desk) -> None:
    sender = make_sender()
    record = call(seconds=95)
    number = sender.post(record).json()["cdr_id"]
    clock.set_test_instant(clock.now() - timedelta(seconds=2))  # of a process whose clock is behind
    sender.post(record | {"recording_url": "https://rec.example.com/4.mp3"})

    told = sender.get(f"cdrs/{number}/explain").json()

    assert (told["state"], told["filter"]) == ("charged", None)
    assert [delivery["door"] for delivery in told["deliveries"]] == ["cdrs", "cdrs"]
    assert [detail["kind"] for detail in told["details"]] == ["update"]
    charge = told["charge"]
    assert (charge["service"], charge["account"], charge["attempts"]) == ("callback", sender.account.accno, 1)
    assert told["price"]["cost"] == "0.24"
    assert "0.12" in str(told["price"]["explanation"])


def test_the_price_hides_numbers_from_who_need_not_see_them(desk: Desk) -> None:
    sender = make_sender()
    number = sender.post(call(seconds=95)).json()["cdr_id"]

    told = {
        role: person(sender.organization, role).get(f"/api/v1/cdrs/{number}/explain").content.decode()
        for role in (Role.SUPERVISOR, Role.OPS)
    }

    assert "8613800000002" in told[Role.SUPERVISOR]
    assert "13800000002" not in told[Role.OPS]
    assert "861****0002" in told[Role.OPS]


def test_explanation_of_a_filtered_call_names_rule_and_fact(desk: Desk) -> None:
    sender = make_sender()
    number = sender.post(call(seconds=0)).json()["cdr_id"]

    told = sender.get(f"cdrs/{number}/explain").json()

    made = told["filter"]
    assert (made["rule"], made["version"], made["because"]) == ("too_short", 1, "answered, 0 s, under 1 s")
    assert told["price"] is None


def test_record_is_told_in_canonical_fields(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    number = sender.post(call(seconds=95, start=start)).json()["cdr_id"]

    told = sender.get(f"cdrs/{number}").json()

    assert told["start_time"] == start.isoformat().replace("+00:00", "Z")
    assert (told["billable_seconds"], told["talk_seconds"], told["a_leg_seconds"]) == (95, 95, 102)
    assert (told["cost"], told["currency"], told["caller"]) == ("0.24", "CNY", "13800000001")


@pytest.mark.parametrize("path", ["cdrs/{number}", "cdrs/{number}/explain"])
def test_another_organisations_record_does_not_exist(desk: Desk, path: str) -> None:
    owner, stranger = make_sender(), make_sender()
    number = owner.post(call()).json()["cdr_id"]

    answer = stranger.get(path.format(number=number))

    assert (answer.status_code, answer.json()["code"]) == (404, "record_not_found")
    assert stranger.get("cdrs").json()["items"] == []


def test_list_pages_through_everything_once(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    sent = sender.post([call(seconds=None, start=start + timedelta(seconds=n // 2)) for n in range(7)]).json()

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = sender.get("cdrs", limit="3", **cursor).json()
        seen += [item["cdr_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert len(seen) == len(set(seen)) == 7
    assert set(seen) == {item["cdr_id"] for item in sent["items"]}


def test_list_filters_by_field_and_time(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    sender.post([call(start=start, called="13900000001"), call(start=start), call(start=start, seconds=None)])

    def found(**query: str) -> int:
        return len(sender.get("cdrs", **query).json()["items"])

    assert (found(), found(called="13900000001"), found(state="filtered")) == (3, 1, 1)
    assert found(**{"from": text(start + timedelta(seconds=1))}) == 0
    assert found(**{"from": text(start), "to": text(start + timedelta(seconds=1))}) == 3


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "1000"}, 400),
        ({"cursor": "x"}, 400),
        ({"org__balance__gt": "1"}, 400),
        ({"from": "2026-03-02T10:00:00"}, 422),
        ({"from": text(MARCH - timedelta(days=3000)), "to": text(MARCH)}, 422),
    ],
    ids=str,
)
def test_b53_strange_questions_are_refused(desk: Desk, query: dict[str, str], status: int) -> None:
    assert make_sender().get("cdrs", **query).status_code == status


def test_numbers_are_masked_for_who_need_not_see_them(desk: Desk) -> None:
    sender = make_sender()
    sender.post(call())

    seen = {
        role: person(sender.organization, role).get("/api/v1/cdrs").json()["items"][0]["called"]
        for role in (Role.SUPERVISOR, Role.OPS, Role.AUDITOR)
    }

    assert seen == {Role.SUPERVISOR: "13800000002", Role.OPS: "138****0002", Role.AUDITOR: "138****0002"}


def test_agents_and_strangers_see_nothing(desk: Desk) -> None:
    sender = make_sender()

    assert person(sender.organization, Role.AGENT).get("/api/v1/cdrs").status_code == 403
    assert Client().get("/api/v1/cdrs").status_code == 401
    assert Client().post("/api/v1/cdrs", b"{}", content_type="application/json").status_code == 401


def test_key_that_may_only_read_cannot_write(desk: Desk) -> None:
    sender = make_sender()
    reader = Sender(sender.organization, sender.account, make_key(sender.organization, "cdr:read"), Client())

    assert (reader.post(call()).status_code, reader.get("cdrs").status_code) == (403, 200)


def test_other_methods_do_not_exist(desk: Desk) -> None:
    answer = make_sender().client.delete("/api/v1/cdrs")

    assert (answer.status_code, answer.json()["allowed"]) == (405, ["GET", "POST"])

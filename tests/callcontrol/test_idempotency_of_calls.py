"""One key, one call: whatever is repeated, whenever, and whatever went wrong in between."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing_platform import clock, failpoints
from billing_platform.failpoints import FailpointHit, parse_failpoints
from billing_platform.models import StoredAnswer
from callcontrol.models import Callback
from tests.callcontrol.cast import Tenant, make_tenant
from tests.callcontrol.stage import Stage

pytestmark = pytest.mark.usefixtures("stage")


def references(tenant: Tenant) -> list[str]:
    return list(Callback.objects.filter(organization=tenant.organization).values_list("reference", flat=True))


def test_same_key_and_body_is_the_stored_answer_even_when_the_money_is_gone() -> None:
    acme = make_tenant(balance="1.00")
    first = acme.call(key="k1")

    again = acme.call(key="k1")

    assert (first.status_code, again.status_code, again.headers["Idempotent-Replay"]) == (201, 201, "true")
    assert again.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert references(acme) == [first.json()["id"]]
    assert acme.money == (Decimal("1.00"), Decimal("0.96"))


def test_other_body_under_the_key_is_a_conflict() -> None:
    acme = make_tenant()
    acme.call(key="k1")

    response = acme.call("13712345678", key="k1")

    assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")
    assert len(references(acme)) == 1


def test_program_must_send_a_key_and_a_person_need_not() -> None:
    acme = make_tenant()

    missing = acme.call(client=acme.program(), agent_number="13800000001")

    assert (missing.status_code, missing.json()["code"]) == (400, "validation")
    assert references(acme) == []
    sent = acme.call(client=acme.program(), key="k1", agent_number="13800000001")
    assert (sent.status_code, sent.json()["customer_number"]) == (201, "139****5678")


def test_double_click_makes_one_call(stage: Stage) -> None:
    acme = make_tenant(balance="50", live_calls_per_agent=4)
    browsers = [acme.browser() for _ in range(4)]

    def click(browser: object) -> int:
        try:
            return acme.call(client=browser, key="click", max_seconds=60).status_code  # type: ignore[arg-type]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(click, browsers))

    assert statuses.count(201) >= 1
    assert set(statuses) <= {201, 409}
    [reference] = references(acme)
    assert stage.simulator.truth(reference) is not None
    assert acme.account.held == Decimal("0.24")


def test_refusal_of_the_platform_is_the_answer_to_its_key() -> None:
    acme = make_tenant()

    first, again = acme.call("13912340010", key="k1"), acme.call("13912340010", key="k1")

    assert [(answer.status_code, answer.json()["provider_code"]) for answer in (first, again)] == [(502, "refused")] * 2
    assert len(references(acme)) == 1
    assert acme.call("13712345678", key="k2").status_code == 201


def test_key_whose_answer_was_lost_answers_with_the_call_that_there_is(
    monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    acme = make_tenant()
    monkeypatch.setattr(failpoints, "_armed", parse_failpoints("callcontrol.calling.after_platform:raise"))
    with pytest.raises(FailpointHit):
        acme.call(key="k1")
    monkeypatch.setattr(failpoints, "_armed", {})
    assert not StoredAnswer.objects.filter(organization=acme.organization).exists()

    again = acme.call(key="k1")

    assert again.status_code == 201
    assert [again.json()["id"]] == references(acme)
    calls = stage.simulator.ask("GET", "/sim/calls?limit=10000")[1]["calls"]
    assert [call["reference"] for call in calls].count(again.json()["id"]) == 1


def test_key_of_a_call_that_still_runs_is_in_progress() -> None:
    acme = make_tenant()
    acme.call(key="k1")
    StoredAnswer.objects.filter(organization=acme.organization).delete()
    Callback.objects.filter(organization=acme.organization).update(state="created")

    response = acme.call(key="k1")

    assert (response.status_code, response.json()["code"]) == (409, "in_progress")
    assert "Retry-After" in response.headers


def test_key_counts_for_a_day_and_for_its_sender_only() -> None:
    acme, echo = make_tenant(balance="50", live_calls_per_agent=5), make_tenant()
    assert acme.call(key="k1", max_seconds=60).status_code == 201

    assert echo.call(key="k1").json()["id"] not in references(acme)
    clock.set_test_instant(clock.now() + timedelta(hours=25))
    StoredAnswer.objects.filter(organization=acme.organization).delete()
    assert acme.call(key="k1", max_seconds=60).json()["id"] == references(acme)[0]

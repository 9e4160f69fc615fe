"""Disputes: an agent objects, a supervisor answers, the agent is told; no money moves, and nothing said is changed."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils.translation import override

from billing_platform import clock
from billing_platform.auth import issue_key
from billing_platform.models import AuditEntry, Membership, Notice, Role
from billing_platform.notices import sentence_of
from callcontrol.models import Callback, Dispute
from counter.models import ServiceRecord
from counter.replacing import Replacement, replace_charges
from rating import tariffs
from rating.assignments import assign_deck
from rating.explaining.again import read_charge
from tests.browser.calls import make_call, make_charged_call
from tests.callcontrol.cast import ALWAYS, Tenant, make_agent, make_services, make_tenant
from tests.ledger_facts import ledger_fingerprint

JSON = "application/json"


@pytest.fixture(scope="module", autouse=True)
def _services(module_database: object) -> None:
    """Tests of the module share the services; each brings a tenant of its own."""
    make_services()


@pytest.fixture
def acme() -> Tenant:
    return make_tenant(balance="10.00")


def person(tenant: Tenant, role: str) -> User:
    user = User.objects.create_user(f"{tenant.organization}-{role}-{User.objects.count()}")
    Membership.objects.create(user=user, organization=tenant.organization, role=role)
    return user


def post(client: Client, path: str, key: str = "", **body: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/api/v1/disputes{path}", body, content_type=JSON, headers=headers)


def opened(tenant: Tenant, call: Callback, *, text: str = "we talked for a minute") -> Dispute:
    answer = post(tenant.browser(), "", call_id=call.reference, reason="duration", text=text)
    assert answer.status_code == 201, answer.json()
    return Dispute.objects.get(pk=answer.json()["id"])


def acts(tenant: Tenant) -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(object_type="dispute", organization=tenant.organization).order_by("id")
    return list(rows.values_list("act", "actor"))


def count_of(tenant: Tenant) -> int:
    return Dispute.objects.filter(organization=tenant.organization).count()


def told(user: User | None) -> list[str]:
    with override("en"):
        return [sentence_of(notice) for notice in Notice.objects.filter(user=user).order_by("id")]


def test_from_the_objection_to_the_answer_without_a_cent(acme: Tenant) -> None:
    call, boss = make_charged_call(acme), person(acme, Role.SUPERVISOR)
    assert (call.cost, acme.money[0]) == (Decimal("0.36"), Decimal("9.64"))
    before = ledger_fingerprint()

    dispute = opened(acme, call)
    answered = post(acme.browser(boss), f"/{dispute.pk}/answer", decision="declined", answer="The tape says 95 s.")

    assert (answered.status_code, answered.json()["state"]) == (200, "declined")
    shown = acme.browser().get(f"/api/v1/disputes/{dispute.pk}").json()
    assert (shown["answer"], shown["closed_by"]) == ("The tape says 95 s.", boss.username)
    assert [(leg["leg"], leg["amount"]) for leg in shown["charge"]["legs"]] == [("a", "0.1200"), ("b", "0.2400")]
    assert (shown["charge"]["cost"], shown["charge"]["billable_seconds"]) == ("0.360000", 95)
    assert told(boss) == ["An agent disputes the call to 139****5678."]
    assert told(acme.agent.user) == [
        "Your dispute about the call to 139****5678 was declined: The tape says 95 s."
    ]  # fmt: skip
    agent = acme.agent.user.username if acme.agent.user else ""
    assert acts(acme) == [("dispute.open", f"person:{agent}"), ("dispute.decline", f"person:{boss.username}")]
    assert ledger_fingerprint() == before


def test_a_later_rerating_leaves_what_was_attached(acme: Tenant) -> None:
    call = make_charged_call(acme)
    dispute = opened(acme, call)
    attached = json.dumps(dispute.charge, sort_keys=True)
    sentences = [leg["sentence_en"] for leg in dispute.charge["legs"]]
    assert sentences[1].endswith("= 95 s, priced as 120 s. Deck leg-b version 1, prefix *. 2 × ¥0.12 = ¥0.2400")
    assert "= 102 s, priced as 120 s. Deck leg-a version 1" in sentences[0]

    assign_deck(
        "default", tenant=acme.organization, category="callback.b", subject=acme.accno, active_from=ALWAYS, fallback=[]
    )
    tariffs.refresh()
    use = ServiceRecord.objects.get(providerno=call.reference)
    (replaced,) = replace_charges([Replacement(use.pk, clock.now())], cause="rerate:1", at=clock.now())

    dispute.refresh_from_db()
    assert replaced.new == Decimal("1.32")
    assert json.dumps(dispute.charge, sort_keys=True) == attached


def test_the_stored_explanation_can_be_priced_again(acme: Tenant) -> None:
    call = make_charged_call(acme)
    line = opened(acme, call).charge["legs"][1]["explanation"]

    assert read_charge({
        "ref": call.reference, "cost": "0.24", "caller": call.agent_number, "called": call.customer_number,
        "start_time": "2026-03-02T10:00:00+08:00", "finish_time": "2026-03-02T10:01:35+08:00",
        "explanation": {"mode": "by_deck", "lines": [line]},
    }).lines[0]["amount"] == "0.2400"  # fmt: skip


def test_one_open_dispute_a_call_and_a_new_one_after_the_answer(acme: Tenant) -> None:
    call, boss = make_charged_call(acme), person(acme, Role.SUPERVISOR)
    first = opened(acme, call)

    again = post(acme.browser(), "", call_id=call.reference, reason="price", text="")
    assert (again.status_code, again.json()["code"], again.json()["dispute"]) == (409, "dispute_open", first.pk)
    assert count_of(acme) == 1

    post(acme.browser(boss), f"/{first.pk}/answer", decision="declined", answer="no")
    assert opened(acme, call).pk != first.pk
    listed = acme.browser().get(f"/api/v1/disputes?call={call.reference}").json()["items"]
    assert [one["state"] for one in listed] == ["open", "declined"]


def test_only_who_opened_it_withdraws_and_only_once(acme: Tenant) -> None:
    dispute, boss = opened(acme, make_charged_call(acme)), person(acme, Role.SUPERVISOR)

    refused = post(acme.browser(boss), f"/{dispute.pk}/withdraw")
    assert (refused.status_code, acts(acme)[1:]) == (403, [])
    assert post(acme.browser(), f"/{dispute.pk}/withdraw").json()["state"] == "withdrawn"

    late = post(acme.browser(boss), f"/{dispute.pk}/answer", decision="accepted", answer="too late")
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "dispute_closed", "withdrawn")
    assert [act for act, _actor in acts(acme)] == ["dispute.open", "dispute.withdraw"]
    assert told(acme.agent.user) == []


def test_nobody_answers_a_dispute_of_their_own(acme: Tenant) -> None:
    call = make_charged_call(acme)
    Membership.objects.create(user=acme.agent.user, organization=acme.organization, role=Role.SUPERVISOR)
    dispute = opened(acme, call)

    answer = post(acme.browser(), f"/{dispute.pk}/answer", decision="accepted", answer="of course")

    assert answer.status_code == 403
    dispute.refresh_from_db()
    assert (dispute.state, dispute.answer) == ("open", "")


def test_who_may_do_what(acme: Tenant) -> None:
    call = make_charged_call(acme)
    colleague = make_agent(acme.organization, "13800000009").user
    stranger = make_tenant()
    boss_elsewhere, auditor = person(stranger, Role.SUPERVISOR), person(acme, Role.AUDITOR)
    body = {"call_id": call.reference, "reason": "duration", "text": ""}

    assert post(acme.browser(colleague), "", **body).status_code == 404
    assert post(stranger.browser(), "", **body).status_code == 404
    assert post(acme.browser(auditor), "", **body).status_code == 403
    assert count_of(acme) == 0

    dispute = opened(acme, call)
    readers = [acme.browser(), acme.browser(auditor), acme.browser(colleague), stranger.browser(boss_elsewhere)]
    assert [one.get(f"/api/v1/disputes/{dispute.pk}").status_code for one in readers] == [200, 200, 404, 404]
    assert [len(one.get("/api/v1/disputes").json()["items"]) for one in readers] == [1, 1, 0, 0]
    verdict = {"decision": "accepted", "answer": "yes"}
    assert [post(one, f"/{dispute.pk}/answer", **verdict).status_code for one in readers] == [403, 403, 403, 404]
    assert post(acme.browser(colleague), f"/{dispute.pk}/withdraw").status_code == 404
    assert [act for act, _actor in acts(acme)] == ["dispute.open"]


def test_an_agent_who_also_audits_disputes_only_their_own(acme: Tenant) -> None:
    call = make_charged_call(acme)
    both = make_agent(acme.organization, "13800000009").user
    Membership.objects.create(user=both, organization=acme.organization, role=Role.AUDITOR)

    assert post(acme.browser(both), "", call_id=call.reference, reason="price", text="").status_code == 403
    assert count_of(acme) == 0


def test_a_program_disputes_with_a_key_that_is_remembered(acme: Tenant) -> None:
    call, body = make_charged_call(acme), {"reason": "twice", "text": "see 17:58"}
    program = acme.program()

    assert post(program, "", call_id=call.reference, **body).status_code == 400  # without an Idempotency-Key
    first, repeat = (post(program, "", key="k1", call_id=call.reference, **body) for _ in range(2))
    other = post(program, "", key="k1", call_id=call.reference, reason="price", text="")

    assert (first.status_code, repeat.status_code, repeat.json()) == (201, 201, first.json())
    assert (repeat.headers["Idempotent-Replay"], other.status_code) == ("true", 409)
    assert first.headers["Location"] == f"/api/v1/disputes/{first.json()['id']}"
    assert count_of(acme) == 1
    reader = acme.program(issue_key(name="r", organization=acme.organization, scopes=["call:read"]))
    assert post(reader, "", key="k2", call_id=call.reference, **body).status_code == 403
    assert post(program, f"/{first.json()['id']}/withdraw").json()["state"] == "withdrawn"


def test_nonsense_is_refused_by_field(acme: Tenant) -> None:
    call = make_charged_call(acme)
    nonsense: list[tuple[str, dict[str, Any]]] = [
        ("reason", {"reason": "weather", "text": "x"}),
        ("reason", {"text": "x"}),
        ("reason", {"reason": ["price"], "text": ""}),
        ("text", {"reason": "other", "text": "  "}),
        ("text", {"reason": "price", "text": "x" * 1001}),
        ("text", {"reason": "price", "text": 7}),
        ("cost", {"reason": "price", "text": "", "cost": "0"}),
    ]

    for field, body in nonsense:
        answer = post(acme.browser(), "", call_id=call.reference, **body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert list(post(acme.browser(), "", call_id=7, reason="price").json()["errors"]) == ["call_id"]

    assert count_of(acme) == 0


def test_a_call_without_a_record_has_nothing_to_dispute(acme: Tenant) -> None:
    live, awaiting = make_call(acme, state="bridged"), make_call(acme)

    answers = [post(acme.browser(), "", call_id=one.reference, reason="price", text="") for one in (live, awaiting)]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(409, "nothing_to_dispute")] * 2


def test_a_free_call_is_disputed_without_a_charge(acme: Tenant) -> None:
    call = make_call(acme, seconds=0)

    assert opened(acme, call).charge == {"cost": None, "currency": "CNY", "billable_seconds": 0, "legs": []}


def test_the_database_keeps_what_was_said(acme: Tenant) -> None:
    dispute = opened(acme, make_charged_call(acme))
    row = Dispute.objects.filter(pk=dispute.pk)

    for change in ({"text": "never mind"}, {"charge": {}}, {"state": "accepted"}, {"closed_by": "person:x"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            row.update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        row.delete()
    row.update(state="declined", answer="no", closed_by="person:x", closed_at=clock.now())
    with pytest.raises(DatabaseError), transaction.atomic():
        row.update(answer="yes")


def test_the_list_is_paged_by_key_and_filtered(acme: Tenant) -> None:
    disputes = [opened(acme, make_charged_call(acme)) for _ in range(3)]
    boss = acme.browser(person(acme, Role.SUPERVISOR))
    post(boss, f"/{disputes[0].pk}/answer", decision="accepted", answer="right")

    first = boss.get("/api/v1/disputes?state=open&limit=1").json()
    second = boss.get(f"/api/v1/disputes?state=open&limit=1&cursor={first['next_cursor']}").json()

    assert [one["id"] for one in first["items"] + second["items"]] == [disputes[2].pk, disputes[1].pk]
    assert second["next_cursor"] is None
    answered = boss.get("/api/v1/disputes?state=answered").json()["items"]
    assert [(one["id"], one["state"], one["customer_number"]) for one in answered] == [
        (disputes[0].pk, "accepted", "13912345678")
    ]
    assert boss.get("/api/v1/disputes?state=nonsense").status_code == 400


def test_a_refused_form_keeps_what_was_typed(acme: Tenant) -> None:
    call = make_charged_call(acme)

    page = acme.browser().post(f"/agent/calls/{call.reference}/dispute/", {"reason": "", "text": "<b>hm</b>"})

    assert page.status_code == 400
    assert "&lt;b&gt;hm&lt;/b&gt;" in page.content.decode()
    assert count_of(acme) == 0

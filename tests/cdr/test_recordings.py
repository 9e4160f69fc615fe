"""Recordings: heard through our own address by who may see the call; nothing but sound comes through it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform.auth import issue_key
from billing_platform.models import AuditEntry, Membership, Role
from callcontrol.models import PlatformAccount
from callcontrol.platforms import sealed_credentials
from cdr import recordings
from cdr.models import CallRecord, Provider
from tests.browser.calls import make_call
from tests.callcontrol.cast import Tenant, make_agent, make_services, make_tenant
from tests.cdr.recorded import SOUND, Answer, make_record, shelf

ANSWERS: dict[str, Answer] = {
    "/1.wav": (200, {"Content-Type": "text/html"}, SOUND),  # what the platform calls it counts for nothing
    "/page": (200, {"Content-Type": "audio/wav"}, b"<html><script>alert(1)</script></html>"),
    "/gone": (404, {}, b"RIFF0000WAVE"),
    "/moved": (302, {"Location": "/1.wav"}, b""),
    "/broken": (500, {}, b"oops"),
    "/endless": (200, {}, SOUND + bytes(5000)),
}


@pytest.fixture(scope="module")
def address(module_database: object) -> Iterator[str]:
    """Where the platform keeps its recordings; our account with it leads there."""
    make_services()
    with shelf(lambda path: ANSWERS[path]) as address:
        PlatformAccount.objects.create(
            code="shelf", adapter="generic", base_url=f"{address}/api", credentials=sealed_credentials({})
        )
        Provider.objects.create(code="shelf", platform="generic")
        yield address


def recorded(tenant: Tenant, url: str) -> CallRecord:
    own = Provider.objects.get(code="shelf", platform="generic")
    return make_record(make_call(tenant, seconds=20, cost="0.18"), url, provider=own)


def listen(client: Client, record: CallRecord, **headers: str) -> Any:
    return client.get(f"/api/v1/cdrs/{record.id}/recording", headers=headers)


def person(tenant: Tenant, role: str) -> Client:
    user = User.objects.create_user(f"{tenant.organization}-{role}-listens")
    Membership.objects.create(user=user, organization=tenant.organization, role=role)
    return tenant.browser(user)


def test_the_sound_comes_from_our_own_address(address: str) -> None:
    tenant = make_tenant()
    record = recorded(tenant, f"{address}/1.wav")

    told = tenant.browser().get(f"/api/v1/cdrs/recordings?ids={record.id},7").json()["items"]
    heard = listen(tenant.browser(), record)

    assert told == [
        {"cdr_id": str(record.id), "call_id": record.call_id, "href": f"/api/v1/cdrs/{record.id}/recording"}
    ]
    assert (heard.status_code, b"".join(heard.streaming_content)) == (200, SOUND)
    assert (heard.headers["Content-Type"], heard.headers["Content-Length"]) == ("audio/wav", str(len(SOUND)))
    assert heard.headers["X-Content-Type-Options"] == "nosniff"
    listened = AuditEntry.objects.get(act="recording.listen", organization=tenant.organization)
    assert (listened.object_id, listened.actor) == (str(record.id), f"person:{tenant.agent.user}")


def test_a_part_is_served_to_players_that_ask_for_parts(address: str) -> None:
    tenant = make_tenant()
    record, browser = recorded(tenant, f"{address}/1.wav"), tenant.browser()

    for asked, first, end in (("bytes=0-1", 0, 2), ("bytes=10-", 10, len(SOUND)), ("bytes=10-99999", 10, len(SOUND))):
        heard = listen(browser, record, Range=asked)
        assert (heard.status_code, b"".join(heard.streaming_content)) == (206, SOUND[first:end])
        assert heard.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(SOUND)}"
    for asked in ("bytes=99999-", "bytes=5-2", "bytes=0-1,4-5", "lines=1-2"):
        heard = listen(browser, record, Range=asked)
        assert (heard.status_code, b"".join(heard.streaming_content)) == (200, SOUND)


def test_what_is_no_sound_is_told_in_words(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "BYTES_MAX", 4096)
    tenant = make_tenant()
    paths = ("/page", "/gone", "/moved", "/broken", "/endless")

    answers = [listen(tenant.browser(), recorded(tenant, f"{address}{path}")) for path in paths]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (502, "recording_unreachable"), (410, "recording_gone"), (502, "recording_unreachable"),
        (502, "recording_unreachable"), (502, "recording_too_large"),
    ]  # fmt: skip
    assert not AuditEntry.objects.filter(act="recording.listen", organization=tenant.organization).exists()


def test_an_address_inside_a_private_network_is_not_fetched(address: str) -> None:
    """Only where our own account with the platform leads: not elsewhere on its machine, and not for other senders."""
    tenant = make_tenant()
    Provider.objects.get_or_create(code="shelf", platform="native", organization=tenant.organization)
    native = Provider.objects.get(platform="native", organization=tenant.organization)
    own = Provider.objects.get(code="shelf", platform="generic")
    call = make_call(tenant, seconds=20, cost="0.18")

    refused = [
        listen(tenant.browser(), make_record(call, url, provider=provider)).json()["code"]
        for url, provider in (
            (f"{address}/1.wav", native),
            ("http://127.0.0.1:1/1.wav", own),
            (address.replace("http://", "http://me@") + "/1.wav", own),
            ("file:///etc/hostname", own),
            ("//[bad", own),
        )
    ]

    assert refused == ["recording_unreachable"] * 5


def test_who_may_see_the_call_may_hear_it(address: str) -> None:
    tenant = make_tenant()
    record, silent = recorded(tenant, f"{address}/1.wav"), recorded(tenant, "")
    colleague = tenant.browser(make_agent(tenant.organization, "13800000009").user)
    reader = issue_key(name="r", organization=tenant.organization, scopes=["cdr:read"])
    listeners = [
        tenant.browser(), person(tenant, Role.SUPERVISOR), person(tenant, Role.AUDITOR), tenant.program(reader),
        colleague, make_tenant().browser(), person(tenant, Role.OPS), Client(),
    ]  # fmt: skip

    assert [listen(one, record).status_code for one in listeners] == [200, 200, 200, 200, 404, 404, 403, 401]
    told = [one.get(f"/api/v1/cdrs/recordings?ids={record.id},{silent.id}").json() for one in listeners[:6]]
    assert [len(one["items"]) for one in told] == [1, 1, 1, 1, 0, 0]
    missing = listen(tenant.browser(), silent)
    assert (missing.status_code, missing.json()["code"]) == (404, "recording_not_found")


def test_a_question_that_is_none_is_refused(address: str) -> None:
    browser = make_tenant().browser()

    asked = [f"/api/v1/cdrs/recordings?ids={ids}" for ids in ("", "x", "1,,2", "1" * 19, ",".join(["1"] * 201))]

    assert [browser.get(path).status_code for path in asked] == [400] * 5


def test_no_process_gives_all_its_threads_to_a_slow_platform(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_tenant()
    record = recorded(tenant, f"{address}/1.wav")
    places = [recordings._fetching.acquire(blocking=False) for _ in range(recordings.AT_ONCE)]

    busy = listen(tenant.browser(), record)
    for _ in places:
        recordings._fetching.release()

    assert (busy.status_code, busy.json()["code"], busy.headers["Retry-After"]) == (429, "rate_limited", "2")
    assert listen(tenant.browser(), record).status_code == 200

"""Admin of floor 0: secrets shown once, roles decide, every change leaves a trail, nothing unbounded is counted."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing_platform import auth, dashboard, registry
from billing_platform.dashboard import Card
from billing_platform.deliveries import address_events
from billing_platform.models import (
    ApiKey,
    AuditEntry,
    JobRun,
    Membership,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing_platform.outbox import NewEvent, record_events
from billing_platform.trail import record_act
from billing_platform.webhooks import opened_secret

pytestmark = pytest.mark.django_db
KEYS, EVENTS = "/admin/billing_platform/apikey/", "/admin/billing_platform/outboxevent/"


@pytest.fixture(autouse=True)
def _no_cards_no_known_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DASHBOARD_CARDS", [])
    auth.forget_keys()


def staff(role: str, name: str = "") -> Client:
    user = User.objects.create_user(name or role, is_staff=True)
    Membership.objects.create(user=user, organization="acme", role=role)
    client = Client(REMOTE_ADDR="10.0.0.7")
    client.force_login(user)
    return client


def shown_secret(response: HttpResponse) -> str:
    found = re.search(r'data-testid="issued-secret">([^<]+)<', response.content.decode())
    assert found, response.content.decode()[:2000]
    return found[1]


def new_key(client: Client, **changes: object) -> HttpResponse:
    asked = {"name": "switch", "organization": "acme", "scopes": ["cdr:write", "cdr:read"], "networks": "10.0.0.0/8"}
    return client.post(KEYS + "add/", {**asked, "expires_at_0": "", "expires_at_1": "", **changes})


def test_an_issued_key_works_and_is_shown_this_one_time() -> None:
    client = staff("platform_admin")

    response = new_key(client)
    secret, row = shown_secret(response), ApiKey.objects.get()

    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]
    assert auth.caller_of_key(secret, address="10.1.1.1").scopes == {"cdr:write", "cdr:read"}
    assert row.networks == ["10.0.0.0/8"]
    assert secret.partition(".")[2] not in client.get(f"{KEYS}{row.pk}/change/").content.decode()
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.act, entry.object_id, entry.address) == (
        "person:platform_admin", "apikey.issue", str(row.pk), "10.0.0.7",
    )  # fmt: skip
    assert secret.partition(".")[2] not in str(entry.after)


@pytest.mark.parametrize("changes", [{"networks": "10.0.0.0/99"}, {"scopes": ["cdr:everything"]}, {"name": ""}])
def test_a_key_that_makes_no_sense_is_not_issued(changes: dict[str, object]) -> None:
    response = new_key(staff("platform_admin"), **changes)

    assert response.status_code == 200
    assert not ApiKey.objects.exists()
    assert not AuditEntry.objects.exists()


def test_rotation_shows_the_new_secret_and_keeps_the_old_one_for_a_day() -> None:
    client = staff("platform_admin")
    old = shown_secret(new_key(client))

    new = shown_secret(client.post(KEYS, {"action": "rotate", "_selected_action": [ApiKey.objects.get().pk]}))

    assert new != old
    for secret in (old, new):
        assert auth.caller_of_key(secret, address="10.1.1.1").organization == "acme"
    assert AuditEntry.objects.filter(act="apikey.rotate").count() == 1


def test_a_revoked_key_is_refused_at_once_in_this_process() -> None:
    client = staff("platform_admin")
    secret = shown_secret(new_key(client))
    auth.caller_of_key(secret, address="10.1.1.1")

    client.post(KEYS, {"action": "revoke", "_selected_action": [ApiKey.objects.get().pk]})

    with pytest.raises(auth.Unauthenticated):
        auth.caller_of_key(secret, address="10.1.1.1")
    assert AuditEntry.objects.filter(act="apikey.revoke").count() == 1


def test_keys_are_never_deleted() -> None:
    client = staff("platform_admin")
    new_key(client)

    response = client.post(f"{KEYS}{ApiKey.objects.get().pk}/delete/", {"post": "yes"})

    assert response.status_code == 403
    assert ApiKey.objects.count() == 1


def test_a_change_leaves_before_and_after() -> None:
    client = staff("platform_admin")
    new_key(client)
    row = ApiKey.objects.get()

    client.post(
        f"{KEYS}{row.pk}/change/",
        {"name": "gateway", "scopes": ["cdr:write"], "networks": "", "expires_at_0": "", "expires_at_1": ""},
    )

    entry = AuditEntry.objects.get(act="apikey.change")
    assert (entry.before["name"], entry.after["name"]) == ("switch", "gateway")
    assert entry.after["scopes"] == ["cdr:write"]
    assert ApiKey.objects.get().name == "gateway"


PAGES = {
    "auth/user": {"platform_admin", "auditor"},
    "billing_platform/membership": {"platform_admin", "auditor"},
    "billing_platform/apikey": {"platform_admin", "auditor"},
    "billing_platform/webhookendpoint": {"platform_admin", "ops", "auditor"},
    "billing_platform/outboxevent": {"platform_admin", "ops", "auditor"},
    "billing_platform/webhookdelivery": {"platform_admin", "ops", "auditor"},
    "billing_platform/jobrun": {"platform_admin", "ops", "auditor"},
    "billing_platform/beatslot": {"platform_admin", "ops", "auditor"},
    "billing_platform/auditentry": {"platform_admin", "ops", "finance", "auditor"},
}
ROLES = ["agent", "supervisor", "rate_admin", "ops", "finance", "auditor", "platform_admin"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_for_its_roles(page: str, role: str) -> None:
    client = staff(role)

    status = client.get(f"/admin/{page}/").status_code

    assert status == (200 if role in PAGES[page] else 403)


@pytest.mark.parametrize("page", ["outboxevent", "webhookdelivery", "jobrun", "beatslot", "auditentry"])
def test_what_the_platform_wrote_has_no_form(page: str) -> None:
    client = staff("platform_admin")

    assert client.get(f"/admin/billing_platform/{page}/add/").status_code == 403


def test_the_auditor_changes_nothing() -> None:
    client = staff("auditor")

    assert new_key(client).status_code == 403
    assert client.get("/admin/auth/user/add/").status_code == 403
    assert not ApiKey.objects.exists()


def test_the_trail_is_append_only() -> None:
    record_act(
        auth.Caller("person", "1", name="olga"), "call.cancel", target=("callback", 7), reason="wrong 13800138000"
    )
    entry = AuditEntry.objects.get()

    for forbidden in ("UPDATE billing_platform_auditentry SET reason = ''", "DELETE FROM billing_platform_auditentry"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(forbidden)

    assert AuditEntry.objects.get().reason == entry.reason == "wrong 138****8000"


def test_dead_letters_are_sent_again_with_a_trail() -> None:
    record_events([NewEvent("call.ended", "acme", "c-1", {}), NewEvent("call.ended", "acme", "c-2", {})])
    OutboxEvent.objects.filter(subject="c-1").update(state="dead", attempts=10)
    client = staff("ops")

    client.post(
        EVENTS, {"action": "send_again", "_selected_action": list(OutboxEvent.objects.values_list("pk", flat=True))}
    )

    assert set(OutboxEvent.objects.values_list("state", "attempts")) == {("pending", 0)}
    assert AuditEntry.objects.get().act == "outboxevent.send_again"


def test_each_endpoints_delivery_is_seen_even_when_the_endpoint_is_gone() -> None:
    url = "https://hooks.acme.example/calls"
    endpoint = WebhookEndpoint.objects.create(organization="acme", url=url, topics=["*"], secret=b"x")
    record_events([NewEvent("call.ended", "acme", "c-1", {})])
    address_events()
    WebhookDelivery.objects.update(state="dead", attempts=10, last_error="HTTP 503")
    endpoint.delete()
    client, delivery = staff("ops"), WebhookDelivery.objects.get()

    pages = [
        client.get(f"/admin/billing_platform/webhookdelivery/?{query}") for query in ("state=dead", "q=c-1", f"q={url}")
    ]
    pages += [client.get(f"/admin/billing_platform/webhookdelivery/{delivery.pk}/change/")]
    pages += [client.get(f"{EVENTS}{delivery.event_id}/change/")]

    for page in pages:
        assert page.status_code == 200
        assert url in page.content.decode()
        assert "HTTP 503" in page.content.decode()


def test_a_webhook_secret_is_made_here_and_shown_once() -> None:
    asked = {"organization": "acme", "url": "https://hooks.acme.example/calls", "topics": "call.ended", "enabled": "on"}

    secret = shown_secret(staff("ops").post("/admin/billing_platform/webhookendpoint/add/", asked))

    assert opened_secret(bytes(WebhookEndpoint.objects.get().secret)) == secret


def test_a_webhook_address_with_a_user_part_is_refused() -> None:
    asked = {"organization": "acme", "url": "https://u:p@acme.example/", "topics": "*", "enabled": "on"}

    response = staff("ops").post("/admin/billing_platform/webhookendpoint/add/", asked)

    assert response.status_code == 200
    assert not WebhookEndpoint.objects.exists()


def test_lists_count_with_a_bound() -> None:
    JobRun.objects.bulk_create(JobRun(job="import") for _ in range(3))
    client = staff("ops")

    with CaptureQueriesContext(connection) as queries:
        client.get("/admin/billing_platform/jobrun/")

    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "jobrun" in query["sql"]]
    assert counts
    assert all("LIMIT 2000" in sql for sql in counts)


def test_the_first_page_shows_cards_of_the_rooms_to_their_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DASHBOARD_CARDS", [f"{__name__}.cards_of_a_room"])

    page = staff("ops").get("/admin/").content.decode()

    assert 'data-testid="card-failed-value">18<' in page
    assert 'href="/ops/failed-charges/"' in page


def cards_of_a_room(caller: auth.Caller) -> list[Card]:
    return [dashboard.Card("failed", "Failed charges", "18", "/ops/failed-charges/", "oldest 3 h", alarm=True)]


def test_the_first_page_works_without_cards() -> None:
    assert staff("ops").get("/admin/").status_code == 200

"""The demo tenant: the same people and key each time, and never in production."""

import io
import json

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import RequestFactory

from billing_platform import auth, registry
from billing_platform.demo import API_KEY, PASSWORD, PEOPLE, Demo
from billing_platform.models import ApiKey, Membership

pytestmark = pytest.mark.django_db


def seed_a_room(demo: Demo) -> None:
    demo.created["room"] = f"{demo.organization}-{demo.seed}-{demo.size}"


@pytest.fixture(autouse=True)
def _one_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DEMO_SEEDERS", [f"{__name__}.seed_a_room"])
    auth.forget_keys()


def seed() -> dict[str, object]:
    stdout = io.StringIO()
    call_command("seed_demo", "--seed", "7", "--size", "small", "--format", "json", stdout=stdout)
    return json.loads(stdout.getvalue())  # type: ignore[no-any-return]


def test_seeding_twice_is_seeding_once() -> None:
    first, second = seed(), seed()

    assert first["items"] == second["items"]
    assert first["items"][0]["room"] == "demo-7-small"  # type: ignore[index]
    assert (User.objects.count(), ApiKey.objects.count()) == (len(PEOPLE), 1)
    assert dict(Membership.objects.values_list("user__username", "role")) == {
        "agent": "agent", "supervisor": "supervisor", "finance": "finance", "ops": "ops", "rates": "rate_admin",
        "auditor": "auditor", "admin": "platform_admin",
    }  # fmt: skip


def test_the_demo_logins_and_the_demo_key_work() -> None:
    seed()

    users = [authenticate(RequestFactory().post("/login/"), username=name, password=PASSWORD) for name in PEOPLE]

    assert all(users)
    assert {user.get_username() for user in users if user and user.is_superuser} == {"admin"}
    assert auth.caller_of_key(API_KEY, address="127.0.0.1").organization == "demo"


def test_a_changed_password_survives_the_next_seeding() -> None:
    seed()
    agent = User.objects.get(username="agent")
    agent.set_password("my own words 77")
    agent.save(update_fields=["password"])

    seed()

    assert User.objects.get(username="agent").check_password("my own words 77")


def test_production_refuses_public_passwords(settings: object) -> None:
    settings.PRODUCTION = True  # type: ignore[attr-defined]

    with pytest.raises(SystemExit) as end:
        seed()

    assert end.value.code == 3
    assert not User.objects.exists()

"""The demo tenant: people, a key, and what every room adds. Same seed, same demo; running it again changes nothing.

The secrets below are public: system checks and `seed_demo` refuse them where PRODUCTION is set.
"""

import functools
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import transaction

from billing_platform import registry
from billing_platform.auth import hashed_secret
from billing_platform.errors import Forbidden
from billing_platform.models import ApiKey, Membership, Role, Scope

ORGANIZATION = "demo"
PASSWORD = "demo-Pass-2026"  # noqa: S105  printed by `up`, refused in production
KEY_ID = "demo"
KEY_SECRET = "demo-secret-not-for-production"  # noqa: S105  the same
API_KEY = f"{KEY_ID}.{KEY_SECRET}"
SIMULATOR_KEY_ID = "simulator"  # `up` starts the simulator with these three, the rooms' seeders store them
SIMULATOR_SECRET = "simulator-secret-not-for-production"  # noqa: S105  the same
SIMULATOR_HOOK_TOKEN = "simulator-hook-token"  # noqa: S105  the same
SIZES = ("small", "large")
PEOPLE = {  # user name: role; `admin` is the superuser
    "agent": Role.AGENT,
    "supervisor": Role.SUPERVISOR,
    "finance": Role.FINANCE,
    "ops": Role.OPS,
    "rates": Role.RATE_ADMIN,
    "auditor": Role.AUDITOR,
    "admin": Role.PLATFORM_ADMIN,
}
WITHOUT_OFFICE = frozenset({Role.AGENT, Role.SUPERVISOR})  # these never see the admin


@dataclass(slots=True)
class Demo:
    """Handed from seeder to seeder: what to make, and the ids of what was made (`created["agent.user"] = 1`)."""

    seed: int
    size: str
    organization: str = ORGANIZATION
    created: dict[str, object] = field(default_factory=dict)


def seed_all(*, seed: int, size: str) -> Demo:
    """People and key, then every room of the registry in its order. Raises Forbidden in production."""
    if settings.PRODUCTION:
        raise Forbidden("the demo tenant has public passwords: never in production")
    demo = Demo(seed, size)
    _seed_callers(demo)
    for seed_room in registry.resolve(registry.DEMO_SEEDERS):
        seed_room(demo)
    return demo


@functools.cache
def _password_hash() -> str:
    """One for everybody: the password is public, and each hash is a third of a second that a first start would wait."""
    return make_password(PASSWORD)


@transaction.atomic
def _seed_callers(demo: Demo) -> None:
    for name, role in PEOPLE.items():
        user, new = get_user_model().objects.get_or_create(
            username=name, defaults={"is_staff": role not in WITHOUT_OFFICE, "is_superuser": name == "admin"}
        )
        if new:
            user.password = _password_hash()
            user.save(update_fields=["password"])
        Membership.objects.get_or_create(user=user, organization=demo.organization, role=role)
        demo.created[f"user.{name}"] = user.pk
    key, _new = ApiKey.objects.get_or_create(
        key_id=KEY_ID,
        defaults={
            "name": "Demo key",
            "organization": demo.organization,
            "scopes": [scope.value for scope in Scope if scope != Scope.GATEWAY],
            "secret_hash": hashed_secret(KEY_SECRET),
        },
    )
    demo.created["apikey"] = key.key_id

"""System checks: what must never reach production stops the start."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


def check_test_switches(**_: Any) -> Sequence[CheckMessage]:
    """Failpoints and the test clock exist in TEST_MODE only, and TEST_MODE not in production."""
    found: list[CheckMessage] = []
    if settings.PRODUCTION and settings.TEST_MODE:
        found.append(Error("TEST_MODE is on in production.", id="billing.E001"))
    if settings.FAILPOINTS and not settings.TEST_MODE:
        found.append(Error("FAILPOINTS is set outside TEST_MODE.", id="billing.E002"))
    return found


def check_secrets(**_: Any) -> Sequence[CheckMessage]:
    """Secrets of the demo are refused where real money is."""
    if not settings.PRODUCTION:
        return []
    weak = [name for name in ("SECRET_KEY", "KEY_PEPPER") if len(getattr(settings, name)) < 32]
    return [Error(f"{name} is shorter than 32 characters.", id="billing.E003") for name in weak]


def register_checks() -> None:
    """Called once, when the app registry is ready."""
    register(check_test_switches, Tags.security)
    register(check_secrets, Tags.security)

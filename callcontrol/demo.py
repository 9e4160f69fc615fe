"""The demo's telephone: the agent's number, a number to show, and an account with the simulated platform."""

from django.conf import settings
from django.contrib.auth import get_user_model

from billing_platform import clock
from billing_platform.demo import SIMULATOR_KEY_ID, SIMULATOR_SECRET, Demo
from callcontrol.models import Agent, DisplayNumber, GatePolicy, PlatformAccount
from callcontrol.numbers import display_key, read
from callcontrol.platforms import sealed_credentials

AGENT_NUMBER, DISPLAY_NUMBER = "13800000001", "02500000001"
PLATFORM = "simulator"


def seed(demo: Demo) -> None:
    """Make what is missing; again: nothing but the platform's address changes."""
    Agent.objects.get_or_create(
        organization=demo.organization, key=read(AGENT_NUMBER).key,
        defaults={"user": get_user_model().objects.filter(username="agent").first(), "number": AGENT_NUMBER},
    )  # fmt: skip
    DisplayNumber.objects.get_or_create(
        organization=demo.organization, key=display_key(DISPLAY_NUMBER),
        defaults={"number": DISPLAY_NUMBER, "verified_at": clock.now(), "is_default": True},
    )  # fmt: skip
    PlatformAccount.objects.update_or_create(  # its port may be another one at the next start
        code=PLATFORM,
        defaults={
            "adapter": "generic", "base_url": f"{settings.SIMULATOR_URL}/generic",
            "credentials": sealed_credentials({"key": SIMULATOR_KEY_ID, "secret": SIMULATOR_SECRET}),
        },
    )  # fmt: skip
    GatePolicy.objects.get_or_create(organization=demo.organization)
    demo.created["platform.simulator"] = PLATFORM

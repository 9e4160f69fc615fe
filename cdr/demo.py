"""The demo tenant's part of this room: the simulated platform may report its calls."""

from billing_platform.auth import hashed_secret
from billing_platform.demo import SIMULATOR_HOOK_TOKEN, SIMULATOR_KEY_ID, SIMULATOR_SECRET, Demo
from billing_platform.webhooks import sealed_secret
from cdr.models import Provider

SIMULATOR = "simulator"


def seed(demo: Demo) -> None:
    """The provider `simulator`, with the token and secret that the platform account has. Again: nothing changes."""
    row, _new = Provider.objects.get_or_create(
        code=SIMULATOR, platform=Provider.Platform.GENERIC,
        defaults={
            "organization": demo.organization, "zone": "Asia/Shanghai", "key_name": SIMULATOR_KEY_ID,
            "hook_token_hash": hashed_secret(SIMULATOR_HOOK_TOKEN), "secret": sealed_secret(SIMULATOR_SECRET),
        },
    )  # fmt: skip
    demo.created["provider.simulator"] = row.pk

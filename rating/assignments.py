"""Writing which deck family prices whose uses; joins the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from rating.errors import DeckUnknown
from rating.models import Deck, TariffProfile

MAIN = "main"


def assign_deck(
    family: str, *, tenant: str, category: str, subject: str, active_from: datetime | None, fallback: Sequence[str]
) -> None:
    """From `active_from` (None: always) the family's decks price the subject's uses; the same again changes nothing.

    Raises DeckUnknown, also for the decks of another plan: nobody is charged by these.
    """
    if not Deck.objects.filter(Q(plan=None) | Q(plan__code=MAIN), family=family).exists():
        raise DeckUnknown(deck=family)
    TariffProfile.objects.update_or_create(
        plan=MAIN, tenant=tenant, category=category, subject=subject, active_from=active_from,
        defaults={"family": family, "fallback_subjects": list(fallback)},
    )  # fmt: skip

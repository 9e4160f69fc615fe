"""The life of a deck's versions: drawn up, published, withdrawn. Promise: what was published never changes.

A draft is drawn from the latest version and stores only its differences; publishing closes the rows that it ends.
`proposals` are the versions that wait for a second person, `copies` what is cloned and reverted.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Max

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.states import claim
from billing_platform.trail import record_act
from rating.drafts import end_rates, own_rows, remove_rates, turn_into
from rating.errors import DeckUnknown, NotADraft, NotWithdrawable
from rating.models import Deck, DeckImport, DeckVersion, Rate, RateEnd
from rating.publishing import (
    VersionReceipt,
    announced,
    check_publishable,
    close_import,
    lock_deck,
    publish,
    settle,
    tip_of,
)
from rating.rails import Publication, Rails, rails_of
from rating.versions import (
    State,
    bands_of,
    in_force_first,
    latest_version,
    standing,
    store_bands,
    version_in_force,
)

__all__ = [
    "Publication", "VersionReceipt", "discard_draft", "end_rates", "find_version", "in_force_first", "latest_version",
    "load_deck", "load_version", "load_version_by_id", "open_draft", "publish_draft", "publish_version",
    "remove_rates", "standing", "submit_draft", "version_in_force", "withdraw_draft", "withdraw_version",
]  # fmt: skip


def load_deck(code: str) -> Deck:
    """The deck of this code. Raises DeckUnknown."""
    deck = Deck.objects.select_related("carrier").filter(code=code).first()
    if deck is None:
        raise DeckUnknown(deck=code)
    return deck


def load_version(code: str, number: int) -> DeckVersion:
    """A version by its number, drafts too. Raises DeckUnknown."""
    version = DeckVersion.objects.select_related("deck__carrier").filter(deck__code=code, number=number).first()
    if version is None:
        raise DeckUnknown(deck=code, version=number)
    return version


def load_version_by_id(version_id: int) -> DeckVersion:
    """A version, drafts too, with its deck. Raises DeckUnknown."""
    version = DeckVersion.objects.select_related("deck__carrier").filter(pk=version_id).first()
    if version is None:
        raise DeckUnknown(version_id=version_id)
    return version


def find_version(code: str, *, number: int | None, at: datetime) -> DeckVersion:
    """The version of this number, else the one in force at `at`, else the latest. Raises DeckUnknown."""
    if number is not None:
        return load_version(code, number)
    deck = load_deck(code)
    version = version_in_force(deck, at) or latest_version(deck)
    if version is None:
        raise DeckUnknown(deck=code)
    return version


@transaction.atomic  # the draft appears with everything that its base hands down
def open_draft(deck: Deck, *, caller: Caller, like: DeckVersion | None = None, reason: str = "") -> DeckVersion:
    """A draft with the content of `like` (default: the latest published version); it stores only differences.

    `like` may be a version of another deck.
    """
    Deck.objects.select_for_update(no_key=True).get(pk=deck.pk)
    like = like or latest_version(deck)
    known = DeckVersion.objects.filter(deck=deck)
    draft = DeckVersion.objects.create(
        deck=deck,
        number=(known.aggregate(latest=Max("number"))["latest"] or 0) + 1,
        base=tip_of(deck),
        created_by=caller.actor,
        reason=reason,
    )
    if like is not None:
        store_bands(draft, bands_of(like))
    if (like.deck_id, like.number) != (deck.pk, draft.base) if like else draft.base:
        turn_into(draft, like)
    facts = {"deck": deck.code, "version": draft.number}
    record_act(caller, "deck.draft", target=("deckversion", draft.pk), change=(None, facts), reason=reason)
    return draft


@transaction.atomic(durable=True)  # prices, event and audit row become true together
def publish_version(version_id: int, *, publication: Publication, caller: Caller, confirm: str = "") -> VersionReceipt:
    """Schedule a draft, or propose it when a second person must agree (the receipt's state says which).

    Raises DeckUnknown, NotADraft, DraftOutdated, TooSoon, TermsRefused, GuardRail (repeat with its token).
    """
    draft = load_version_by_id(version_id)
    lock_deck(draft)
    return submit_draft(draft, rails_of(draft, publication), publication=publication, caller=caller, confirm=confirm)


@transaction.atomic  # a building block: the caller's transaction decides
def submit_draft(
    draft: DeckVersion, rails: Rails, *, publication: Publication, caller: Caller, confirm: str = ""
) -> VersionReceipt:
    """As `publish_version`, inside the caller's transaction, in which the draft was judged."""
    lock_deck(draft)
    check_publishable(draft, State.DRAFT)
    rails.check(confirm)
    return settle(draft, publication, touched=rails.difference.touched, caller=caller)


@transaction.atomic  # a building block: the caller's transaction decides
def publish_draft(draft: DeckVersion, *, publication: Publication, caller: Caller) -> VersionReceipt:
    """Schedule a draft that needs no confirmation and no second person. Raises what `publish_version` raises."""
    lock_deck(draft)
    check_publishable(draft, State.DRAFT)
    return publish(draft, publication, caller=caller)


@transaction.atomic(durable=True)  # the state and its audit row move together
def withdraw_version(version_id: int, *, caller: Caller, reason: str) -> VersionReceipt:
    """Take back a version before it takes effect. Raises DeckUnknown, NotWithdrawable."""
    version = load_version_by_id(version_id)
    scheduled = DeckVersion.objects.filter(pk=version.pk, effective_from__gt=clock.now())
    if not claim(scheduled, DeckVersion.TRANSITIONS, State.WITHDRAWN):
        raise NotWithdrawable(deck=version.deck.code, version=version.number)
    return announced(version, caller=caller, act="deck.withdraw", reason=reason)


@transaction.atomic(durable=True)  # rows, bands and state go together
def discard_draft(version_id: int, *, caller: Caller) -> None:
    """Throw a draft away, and the import that made it. Raises DeckUnknown, NotADraft."""
    withdraw_draft(load_version_by_id(version_id), caller=caller)


@transaction.atomic  # a building block: the caller's transaction decides
def withdraw_draft(draft: DeckVersion, *, caller: Caller) -> None:
    """As `discard_draft`, inside the caller's transaction."""
    lock_deck(draft)
    if DeckVersion.objects.filter(pk=draft.pk, state=State.DRAFT).first() is None:
        raise NotADraft(version=draft.number)
    RateEnd.objects.filter(draft=draft).delete()
    Rate.objects.filter(**own_rows(draft)).delete()
    store_bands(draft, [])
    claim(DeckVersion.objects.filter(pk=draft.pk), DeckVersion.TRANSITIONS, State.DISCARDED)
    close_import(draft, DeckImport.State.DISCARDED)
    record_act(caller, "deck.discard", target=("deckversion", draft.pk), change=({"deck": draft.deck.code}, None))

"""A version's content once more: as the draft of another deck (克隆), or published again in its own (回退)."""

from django.db import IntegrityError, transaction

from billing_platform.auth import Caller
from billing_platform.trail import record_act
from rating.decks import load_deck, load_version, open_draft
from rating.differences import drawn_from, measure
from rating.errors import DeckExists, DeckUnknown
from rating.models import Deck, DeckVersion
from rating.publishing import VersionReceipt, settle
from rating.rails import Publication
from rating.versions import LASTING, latest_version


def clone_deck(code: str, new_code: str, *, caller: Caller) -> DeckVersion:
    """A new deck with the head of this one, and a draft with the rows of its latest version.

    Raises DeckUnknown, DeckExists.
    """
    try:
        return _clone(load_deck(code), new_code, caller=caller)
    except IntegrityError as taken:  # the code, or the family of this name with this carrier
        raise DeckExists(deck=new_code) from taken


@transaction.atomic(durable=True)  # the deck and its draft appear together
def _clone(deck: Deck, new_code: str, *, caller: Caller) -> DeckVersion:
    latest, source = latest_version(deck), deck.code
    if latest is None:
        raise DeckUnknown(deck=source)
    deck.pk, deck.code, deck.family = None, new_code, new_code
    deck._state.adding = True
    deck.save(force_insert=True)
    record_act(caller, "deck.clone", target=("deck", deck.pk), change=(None, {"deck": new_code, "from": source}))
    return open_draft(deck, caller=caller, like=latest, reason=f"{source} v{latest.number}")


@transaction.atomic(durable=True)  # the old content becomes a new version in one step
def revert_deck(code: str, *, to: int, publication: Publication, caller: Caller) -> VersionReceipt:
    """Publish a new version with the content of version `to`: the same content hash, nothing deleted.

    It was seen when it was published first, so no guard rail asks; a second person may have to agree all the same.
    """
    target = load_version(code, to)
    if target.state not in LASTING:
        raise DeckUnknown(deck=code, version=to)
    draft = open_draft(target.deck, caller=caller, like=target, reason=publication.reason)
    touched = measure(draft, drawn_from(draft)).touched
    return settle(draft, publication, touched=touched, caller=caller)

"""The life of a deck's versions: drawn up, published, withdrawn, reverted. Promise: what was published never changes.

A draft is drawn from the latest version and stores only its differences; publishing closes the rows that it ends. All
publishing of one deck passes through a lock on the deck's row, so of two people who edit it the second gets a conflict.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.errors import Forbidden
from billing_platform.models import Role
from billing_platform.outbox import NewEvent, record_events
from billing_platform.states import claim
from billing_platform.trail import record_act
from rating import tariffs
from rating.compiled import compile_version
from rating.differences import drawn_from, measure
from rating.drafts import end_rates, hashed_content, own_rows, remove_rates, settle_rows, turn_into
from rating.errors import (
    DeckExists,
    DeckUnknown,
    DraftOutdated,
    NotADraft,
    NotProposed,
    NotWithdrawable,
    OwnProposal,
    TooSoon,
)
from rating.models import Deck, DeckImport, DeckImportPart, DeckVersion, Rate, RateEnd
from rating.rails import Publication, Rails, rails_of
from rating.versions import (
    LASTING,
    State,
    bands_of,
    distinct_terms,
    head_of,
    in_force_first,
    latest_version,
    standing,
    store_bands,
    version_in_force,
)

__all__ = [
    "NOTICE", "Publication", "VersionReceipt", "approve_version", "clone_deck", "decline_version", "discard_draft",
    "end_rates", "find_version", "in_force_first", "latest_version", "load_deck", "load_version", "open_draft",
    "publish_draft", "publish_version", "remove_rates", "revert_deck", "standing", "submit_draft", "version_in_force",
    "withdraw_draft", "withdraw_version",
]  # fmt: skip

NOTICE = timedelta(seconds=5)  # so that every process knows a version before it matters
CORRECTION_APPROVERS = (Role.FINANCE.value,)
LARGE_APPROVERS = (Role.FINANCE.value, Role.RATE_ADMIN.value)


@dataclass(frozen=True, slots=True)
class VersionReceipt:
    """A version as it stands after an act. `approvers`: the roles of whom a proposal waits for."""

    deck: str
    number: int
    version_id: int
    state: str
    effective_from: datetime | None
    content_hash: str
    rows: int
    approvers: tuple[str, ...] = ()


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
        base=_tip(deck),
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


@transaction.atomic(durable=True)  # prices, event and audit row become true together
def publish_version(version_id: int, *, publication: Publication, caller: Caller, confirm: str = "") -> VersionReceipt:
    """Schedule a draft, or propose it when a second person must agree (the receipt's state says which).

    Raises DeckUnknown, NotADraft, DraftOutdated, TooSoon, TermsRefused, GuardRail (repeat with its token).
    """
    draft = _load(version_id)
    _lock_deck(draft)
    return submit_draft(draft, rails_of(draft, publication), publication=publication, caller=caller, confirm=confirm)


@transaction.atomic  # a building block: the caller's transaction decides
def submit_draft(
    draft: DeckVersion, rails: Rails, *, publication: Publication, caller: Caller, confirm: str = ""
) -> VersionReceipt:
    """As `publish_version`, inside the caller's transaction, in which the draft was judged."""
    _lock_deck(draft)
    _check_publishable(draft, State.DRAFT)
    rails.check(confirm)
    return _settle(draft, publication, touched=rails.difference.touched, caller=caller)


@transaction.atomic  # a building block: the caller's transaction decides
def publish_draft(draft: DeckVersion, *, publication: Publication, caller: Caller) -> VersionReceipt:
    """Schedule a draft that needs no confirmation and no second person. Raises what `publish_version` raises."""
    _lock_deck(draft)
    _check_publishable(draft, State.DRAFT)
    return _publish(draft, publication, caller=caller)


@transaction.atomic(durable=True)  # as publishing
def approve_version(version_id: int, *, caller: Caller) -> VersionReceipt:
    """The second person agrees: the proposal is published as it stands.

    Raises DeckUnknown, NotProposed, OwnProposal, Forbidden, DraftOutdated, TooSoon (its time has passed meanwhile).
    """
    draft = _load(version_id)
    _lock_deck(draft)
    if DeckVersion.objects.filter(pk=draft.pk, state=State.PROPOSED).first() is None:
        raise NotProposed(deck=draft.deck.code, version=draft.number)
    if caller.actor == draft.proposed_by:
        raise OwnProposal(version=draft.number)
    _check_role(_approvers(draft), caller)
    _check_publishable(draft, State.PROPOSED)
    publication = Publication(draft.effective_from, draft.reason, draft.correction)
    return _publish(draft, publication, caller=caller)


@transaction.atomic(durable=True)  # the state and its audit row move together
def decline_version(version_id: int, *, caller: Caller, reason: str) -> VersionReceipt:
    """A proposal becomes a draft again; its proposer may take it back too.

    Raises DeckUnknown, NotProposed, Forbidden.
    """
    draft = _load(version_id)
    if caller.actor != draft.proposed_by:
        _check_role(LARGE_APPROVERS, caller)
    taken_back = {"effective_from": None, "correction": False, "proposed_at": None, "proposed_by": ""}
    proposed = DeckVersion.objects.filter(pk=draft.pk, state=State.PROPOSED)
    if not claim(proposed, DeckVersion.TRANSITIONS, State.DRAFT, **taken_back):
        raise NotProposed(deck=draft.deck.code, version=draft.number)
    draft.refresh_from_db()
    receipt = _receipt(draft)
    _announce(receipt, caller=caller, act="deck.decline", reason=reason)
    return receipt


@transaction.atomic(durable=True)  # the state and its audit row move together
def withdraw_version(version_id: int, *, caller: Caller, reason: str) -> VersionReceipt:
    """Take back a version before it takes effect. Raises DeckUnknown, NotWithdrawable."""
    version = _load(version_id)
    scheduled = DeckVersion.objects.filter(pk=version.pk, effective_from__gt=clock.now())
    if not claim(scheduled, DeckVersion.TRANSITIONS, State.WITHDRAWN):
        raise NotWithdrawable(deck=version.deck.code, version=version.number)
    version.refresh_from_db()
    receipt = _receipt(version)
    _announce(receipt, caller=caller, act="deck.withdraw", reason=reason)
    return receipt


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
    return _settle(draft, publication, touched=touched, caller=caller)


@transaction.atomic(durable=True)  # rows, bands and state go together
def discard_draft(version_id: int, *, caller: Caller) -> None:
    """Throw a draft away, and the import that made it. Raises DeckUnknown, NotADraft."""
    withdraw_draft(_load(version_id), caller=caller)


@transaction.atomic  # a building block: the caller's transaction decides
def withdraw_draft(draft: DeckVersion, *, caller: Caller) -> None:
    """As `discard_draft`, inside the caller's transaction."""
    _lock_deck(draft)
    if DeckVersion.objects.filter(pk=draft.pk, state=State.DRAFT).first() is None:
        raise NotADraft(version=draft.number)
    RateEnd.objects.filter(draft=draft).delete()
    Rate.objects.filter(**own_rows(draft)).delete()
    store_bands(draft, [])
    claim(DeckVersion.objects.filter(pk=draft.pk), DeckVersion.TRANSITIONS, State.DISCARDED)
    _close_import(draft, DeckImport.State.DISCARDED)
    record_act(caller, "deck.discard", target=("deckversion", draft.pk), change=({"deck": draft.deck.code}, None))


def _load(version_id: int) -> DeckVersion:
    version = DeckVersion.objects.select_related("deck__carrier").filter(pk=version_id).first()
    if version is None:
        raise DeckUnknown(version_id=version_id)
    return version


def _tip(deck: Deck) -> int:
    """The highest number that left rows behind: ranges continue from there, withdrawn or not."""
    lasting = DeckVersion.objects.filter(deck=deck, state__in=LASTING)
    return lasting.aggregate(tip=Max("number"))["tip"] or 0


def _lock_deck(draft: DeckVersion) -> None:
    """All publishing of one deck passes here, one after the other."""
    decks = Deck.objects.select_for_update(no_key=True, of=("self",)).select_related("carrier")
    draft.deck = decks.get(pk=draft.deck_id)


def _check_publishable(draft: DeckVersion, state: str) -> None:
    if DeckVersion.objects.filter(pk=draft.pk, state=state).first() is None:
        raise NotADraft(deck=draft.deck.code, version=draft.number)
    latest = _tip(draft.deck)
    if latest != draft.base:
        raise DraftOutdated(deck=draft.deck.code, version=draft.number, base=draft.base, latest=latest)


def _check_role(roles: Collection[str], caller: Caller) -> None:
    if not caller.roles & set(roles):
        raise Forbidden(needs=sorted(roles))


def _approvers(draft: DeckVersion) -> tuple[str, ...]:
    return CORRECTION_APPROVERS if draft.correction else LARGE_APPROVERS


def _settle(draft: DeckVersion, publication: Publication, *, touched: int, caller: Caller) -> VersionReceipt:
    """Publish at once, or leave a proposal for a second person. A deck's first version needs none."""
    at = clock.now()
    _effective_from(draft.deck, publication, at)  # raises TooSoon
    is_correction = publication.effective_from is not None and publication.effective_from < at + NOTICE
    is_small = not is_correction and touched <= settings.RATING_SECOND_PERSON_ROWS
    if is_small or latest_version(draft.deck) is None:
        return _publish(draft, publication, caller=caller)
    _compile_terms(draft)
    claim(
        DeckVersion.objects.filter(pk=draft.pk),
        DeckVersion.TRANSITIONS,
        State.PROPOSED,
        effective_from=publication.effective_from,
        reason=publication.reason or draft.reason,
        correction=is_correction,
        proposed_at=at,
        proposed_by=caller.actor,
    )
    draft.refresh_from_db()
    receipt = _receipt(draft)
    _announce(receipt, caller=caller, act="deck.propose", reason=publication.reason)
    return receipt


def _publish(draft: DeckVersion, publication: Publication, *, caller: Caller) -> VersionReceipt:
    at = clock.now()
    effective_from = _effective_from(draft.deck, publication, at)
    _compile_terms(draft)
    content_hash, rows = hashed_content(draft)
    settle_rows(draft)
    moved = claim(
        DeckVersion.objects.filter(pk=draft.pk),
        DeckVersion.TRANSITIONS,
        State.PUBLISHED,
        effective_from=effective_from,
        published_at=at,
        published_by=caller.actor,
        reason=publication.reason or draft.reason,
        correction=publication.correction,
        content_hash=content_hash,
        row_count=rows,
    )
    assert moved  # the deck's row is locked and the state was checked
    RateEnd.objects.filter(draft=draft).delete()
    _close_import(draft, DeckImport.State.APPLIED)
    draft.refresh_from_db()
    receipt = _receipt(draft)
    _announce(receipt, caller=caller, act="deck.publish", reason=publication.reason)
    return receipt


def _compile_terms(draft: DeckVersion) -> None:
    """Raises TermsRefused when a row of the draft cannot be priced."""
    added = Rate.objects.filter(**own_rows(draft))
    compile_version(head_of(draft), rows=distinct_terms(added), bands=bands_of(draft))


def _close_import(draft: DeckVersion, state: str) -> None:
    """The import that made the draft ends with it; its file is needed no longer."""
    made_by = DeckImport.objects.filter(version=draft)
    claim(made_by, DeckImport.TRANSITIONS, state, finished_at=clock.now())
    DeckImportPart.objects.filter(deck_import__version=draft).delete()


def _effective_from(deck: Deck, publication: Publication, at: datetime) -> datetime:
    first = latest_version(deck) is None
    if publication.effective_from is None:
        return at if first else at + NOTICE
    if first or publication.correction or publication.effective_from >= at + NOTICE:
        return publication.effective_from
    raise TooSoon(effective_from=publication.effective_from.isoformat())


def _receipt(version: DeckVersion) -> VersionReceipt:
    return VersionReceipt(
        deck=version.deck.code,
        number=version.number,
        version_id=version.pk,
        state=version.state,
        effective_from=version.effective_from,
        content_hash=version.content_hash,
        rows=version.row_count,
        approvers=_approvers(version) if version.state == State.PROPOSED else (),
    )


def _announce(receipt: VersionReceipt, *, caller: Caller, act: str, reason: str) -> None:
    """The audit row, the event for the outside, and a look at the new state when it is committed."""
    facts = {
        "deck": receipt.deck,
        "version": receipt.number,
        "effective_from": receipt.effective_from.isoformat() if receipt.effective_from else None,
        "content_hash": receipt.content_hash,
        "rows": receipt.rows,
    }
    record_act(caller, act, target=("deckversion", receipt.version_id), change=(None, facts), reason=reason)
    record_events([NewEvent(act, caller.organization, f"{receipt.deck}/{receipt.number}", facts)])
    transaction.on_commit(tariffs.refresh)

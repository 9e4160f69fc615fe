"""How a draft becomes a published version or a proposal: the one way in, whoever drew it up.

Building blocks that join the caller's transaction. All publishing of one deck passes through a lock on the deck's row,
so of two people who edit it the second gets a conflict.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Max

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.outbox import NewEvent, record_events
from billing_platform.states import claim
from billing_platform.trail import record_act
from rating import tariffs
from rating.compiled import compile_version
from rating.drafts import hashed_content, own_rows, settle_rows
from rating.errors import DraftOutdated, NotADraft, TooSoon
from rating.models import Deck, DeckImport, DeckImportPart, DeckVersion, Rate, RateEnd
from rating.rails import NOTICE, Publication, approvers_needed, approvers_of
from rating.versions import LASTING, State, bands_of, distinct_terms, head_of, latest_version


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


def tip_of(deck: Deck) -> int:
    """The highest number that left rows behind: ranges continue from there, withdrawn or not."""
    lasting = DeckVersion.objects.filter(deck=deck, state__in=LASTING)
    return lasting.aggregate(tip=Max("number"))["tip"] or 0


def lock_deck(draft: DeckVersion) -> None:
    """All publishing of one deck passes here, one after the other."""
    decks = Deck.objects.select_for_update(no_key=True, of=("self",)).select_related("carrier")
    draft.deck = decks.get(pk=draft.deck_id)


def check_publishable(draft: DeckVersion, state: str) -> None:
    """Raises NotADraft, DraftOutdated. The deck must be locked."""
    if DeckVersion.objects.filter(pk=draft.pk, state=state).first() is None:
        raise NotADraft(deck=draft.deck.code, version=draft.number)
    latest = tip_of(draft.deck)
    if latest != draft.base:
        raise DraftOutdated(deck=draft.deck.code, version=draft.number, base=draft.base, latest=latest)


def settle(draft: DeckVersion, publication: Publication, *, touched: int, caller: Caller) -> VersionReceipt:
    """Publish at once, or leave a proposal where a second person must agree to `touched` changed rows.

    Raises TooSoon, TermsRefused. The deck must be locked.
    """
    at = clock.now()
    _effective_from(draft.deck, publication, at)  # raises TooSoon
    if not approvers_needed(draft, publication, touched=touched, at=at):
        return publish(draft, publication, caller=caller)
    _compile_terms(draft)
    claim(
        DeckVersion.objects.filter(pk=draft.pk),
        DeckVersion.TRANSITIONS,
        State.PROPOSED,
        effective_from=publication.effective_from,
        reason=publication.reason or draft.reason,
        correction=publication.is_late(at),
        proposed_at=at,
        proposed_by=caller.actor,
    )
    return announced(draft, caller=caller, act="deck.propose", reason=publication.reason)


def publish(draft: DeckVersion, publication: Publication, *, caller: Caller) -> VersionReceipt:
    """Schedule what needs nobody's agreement, or has it. Raises TooSoon, TermsRefused. The deck must be locked."""
    _compile_terms(draft)
    content_hash, rows = hashed_content(draft)
    settle_rows(draft)
    at = clock.now()  # after what takes seconds in a large deck: they are none of the notice that the processes get
    effective_from = _effective_from(draft.deck, publication, at)
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
    close_import(draft, DeckImport.State.APPLIED)
    return announced(draft, caller=caller, act="deck.publish", reason=publication.reason)


def close_import(draft: DeckVersion, state: str) -> None:
    """The import that made the draft ends with it; its file is needed no longer."""
    made_by = DeckImport.objects.filter(version=draft)
    claim(made_by, DeckImport.TRANSITIONS, state, finished_at=clock.now())
    DeckImportPart.objects.filter(deck_import__version=draft).delete()


def announced(version: DeckVersion, *, caller: Caller, act: str, reason: str) -> VersionReceipt:
    """The version as it stands now, with its audit row, the event for the outside, and a look at it once committed."""
    version.refresh_from_db()
    receipt = receipt_of(version)
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
    return receipt


def receipt_of(version: DeckVersion) -> VersionReceipt:
    """The version as it stands. `version.deck` must be loaded."""
    return VersionReceipt(
        deck=version.deck.code,
        number=version.number,
        version_id=version.pk,
        state=version.state,
        effective_from=version.effective_from,
        content_hash=version.content_hash,
        rows=version.row_count,
        approvers=approvers_of(version) if version.state == State.PROPOSED else (),
    )


def _compile_terms(draft: DeckVersion) -> None:
    """Raises TermsRefused when a row of the draft cannot be priced."""
    added = Rate.objects.filter(**own_rows(draft))
    compile_version(head_of(draft), rows=distinct_terms(added), bands=bands_of(draft))


def _effective_from(deck: Deck, publication: Publication, at: datetime) -> datetime:
    first = latest_version(deck) is None
    if publication.effective_from is None:
        return at if first else at + NOTICE
    if first or publication.correction or not publication.is_late(at):
        return publication.effective_from
    raise TooSoon(effective_from=publication.effective_from.isoformat())

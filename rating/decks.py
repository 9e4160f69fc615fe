"""The life of a deck's versions: drawn up, published, withdrawn, reverted. Promise: what was published never changes.

A draft is drawn from the latest version and stores only its differences; publishing closes the rows that it ends. All
publishing of one deck passes through a lock on the deck's row, so of two people who edit it the second gets a conflict.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.outbox import NewEvent, record_events
from billing_platform.states import claim
from billing_platform.trail import record_act
from rating import tariffs
from rating.compiled import compile_version
from rating.errors import DeckUnknown, DraftOutdated, NotADraft, NotWithdrawable, TooSoon
from rating.formats.directives import render_band
from rating.models import Deck, DeckVersion, Rate, RateEnd
from rating.versions import (
    CONTENT,
    LASTING,
    State,
    bands_of,
    distinct_terms,
    head_of,
    rates_of,
    store_bands,
)

NOTICE = timedelta(seconds=5)  # so that every process knows a version before it matters


@dataclass(frozen=True, slots=True)
class Publication:
    """When a draft takes effect and why. `effective_from` None: as soon as the rules allow."""

    effective_from: datetime | None = None
    reason: str = ""
    correction: bool = False


@dataclass(frozen=True, slots=True)
class VersionReceipt:
    """A version as it stands after an act."""

    deck: str
    number: int
    version_id: int
    state: str
    effective_from: datetime | None
    content_hash: str
    rows: int


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


def latest_version(deck: Deck) -> DeckVersion | None:
    """The published version with the highest number: what the next draft starts from."""
    published = DeckVersion.objects.filter(deck=deck, state=State.PUBLISHED)
    return published.select_related("deck__carrier").order_by("-number").first()


def version_in_force(deck: Deck, at: datetime) -> DeckVersion | None:
    """The published version with the greatest effective instant <= `at`; of equals the later number."""
    return in_force_first(DeckVersion.objects.filter(deck=deck), at).select_related("deck__carrier").first()


def in_force_first(versions: QuerySet[DeckVersion], at: datetime) -> QuerySet[DeckVersion]:
    """Of one deck's versions those that have taken effect, the one in force at `at` first."""
    return versions.filter(state=State.PUBLISHED, effective_from__lte=at).order_by("-effective_from", "-number")


def standing(version: DeckVersion, at: datetime, *, in_force_id: int | None) -> str:
    """scheduled, live or superseded for a published version at an instant; its stored state otherwise."""
    if version.state != State.PUBLISHED or version.effective_from is None:
        return str(version.state)
    if version.effective_from > at:
        return "scheduled"
    return "live" if version.pk == in_force_id else "superseded"


@transaction.atomic  # the draft appears with everything that its base hands down
def open_draft(deck: Deck, *, caller: Caller, like: DeckVersion | None = None, reason: str = "") -> DeckVersion:
    """A draft with the content of `like` (default: the latest published version); it stores only differences."""
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
    if draft.base and (like is None or like.number != draft.base):
        _turn_into(draft, like)
    facts = {"deck": deck.code, "version": draft.number}
    record_act(caller, "deck.draft", target=("deckversion", draft.pk), change=(None, facts), reason=reason)
    return draft


@transaction.atomic(durable=True)  # prices, event and audit row become true together
def publish_version(version_id: int, *, publication: Publication, caller: Caller) -> VersionReceipt:
    """Schedule a draft. Raises DeckUnknown, NotADraft, DraftOutdated, TooSoon, TermsRefused."""
    return publish_draft(_load(version_id), publication=publication, caller=caller)


@transaction.atomic  # a building block: the caller's transaction decides
def publish_draft(draft: DeckVersion, *, publication: Publication, caller: Caller) -> VersionReceipt:
    """As `publish_version`, inside the caller's transaction."""
    deck = Deck.objects.select_for_update(no_key=True, of=("self",)).select_related("carrier").get(pk=draft.deck_id)
    draft.deck = deck
    _check_publishable(draft)
    at = clock.now()
    effective_from = _effective_from(deck, publication, at)
    added = Rate.objects.filter(**_own_rows(draft))
    compile_version(head_of(draft), rows=distinct_terms(added), bands=bands_of(draft))  # raises what cannot be priced
    content_hash, rows = _content_hash(draft)
    _close_ended(draft)
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
    draft.refresh_from_db()
    receipt = _receipt(draft)
    _announce(receipt, caller=caller, act="deck.publish", reason=publication.reason)
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
    """Publish a new version with the content of version `to`: the same content hash, nothing deleted."""
    target = load_version(code, to)
    if target.state not in LASTING:
        raise DeckUnknown(deck=code, version=to)
    draft = open_draft(target.deck, caller=caller, like=target, reason=publication.reason)
    return publish_draft(draft, publication=publication, caller=caller)


@transaction.atomic(durable=True)  # rows, bands and state go together
def discard_draft(version_id: int, *, caller: Caller) -> None:
    """Throw a draft away. Raises DeckUnknown, NotADraft."""
    draft = _load(version_id)
    if draft.state != State.DRAFT:
        raise NotADraft(version=draft.number)
    RateEnd.objects.filter(draft=draft).delete()
    Rate.objects.filter(**_own_rows(draft)).delete()
    store_bands(draft, [])
    claim(DeckVersion.objects.filter(pk=draft.pk), DeckVersion.TRANSITIONS, State.DISCARDED)
    record_act(caller, "deck.discard", target=("deckversion", draft.pk), change=({"deck": draft.deck.code}, None))


@transaction.atomic  # the rows and their audit entries
def remove_rates(draft: DeckVersion, rates: Iterable[Rate], *, caller: Caller) -> None:
    """A person takes rows out of the draft's content."""
    removed = list(rates)
    for rate in removed:
        before = {"deck": draft.deck.code, "prefix": rate.prefix, "rate": str(rate.rate)}
        record_act(caller, "rate.delete", target=("rate", rate.pk), change=(before, None))
    end_rates(draft, [rate.pk for rate in removed])


def end_rates(draft: DeckVersion, rate_ids: list[int]) -> None:
    """Rows of the draft's content are no longer in it: its own go away, inherited ones end with it."""
    own = Rate.objects.filter(**_own_rows(draft), pk__in=rate_ids)
    inherited = Rate.objects.filter(pk__in=rate_ids).exclude(**_own_rows(draft)).values_list("pk", flat=True)
    RateEnd.objects.bulk_create([RateEnd(draft=draft, rate_id=rate_id) for rate_id in inherited], ignore_conflicts=True)
    own.delete()


def _own_rows(draft: DeckVersion) -> dict[str, int]:
    return {"deck_id": draft.deck_id, "valid_from_version": draft.number}


def _load(version_id: int) -> DeckVersion:
    version = DeckVersion.objects.select_related("deck__carrier").filter(pk=version_id).first()
    if version is None:
        raise DeckUnknown(version_id=version_id)
    return version


def _tip(deck: Deck) -> int:
    """The highest number that left rows behind: ranges continue from there, withdrawn or not."""
    lasting = DeckVersion.objects.filter(deck=deck, state__in=LASTING)
    return lasting.aggregate(tip=Max("number"))["tip"] or 0


def _check_publishable(draft: DeckVersion) -> None:
    if DeckVersion.objects.filter(pk=draft.pk, state=State.DRAFT).first() is None:
        raise NotADraft(deck=draft.deck.code, version=draft.number)
    latest = _tip(draft.deck)
    if latest != draft.base:
        raise DraftOutdated(deck=draft.deck.code, version=draft.number, base=draft.base, latest=latest)


def _effective_from(deck: Deck, publication: Publication, at: datetime) -> datetime:
    first = latest_version(deck) is None
    if publication.effective_from is None:
        return at if first else at + NOTICE
    if first or publication.correction or publication.effective_from >= at + NOTICE:
        return publication.effective_from
    raise TooSoon(effective_from=publication.effective_from.isoformat())


def _turn_into(draft: DeckVersion, like: DeckVersion | None) -> None:
    """Make the draft's content that of an older version: end what that had not, copy what it had."""
    columns = ", ".join(CONTENT)
    base_sql, base_params = _ids_sql(draft)
    like_sql, like_params = _ids_sql(like) if like is not None else ("SELECT 0::bigint WHERE false", ())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rating_rate (deck_id, valid_from_version, {columns})"  # noqa: S608  names are ours
            f" SELECT deck_id, %s, {columns} FROM rating_rate"
            f" WHERE id IN ({like_sql} EXCEPT {base_sql})",
            [draft.number, *like_params, *base_params],
        )
        cursor.execute(
            "INSERT INTO rating_rateend (draft_id, rate_id)"  # noqa: S608  names are ours
            f" SELECT %s, id FROM ({base_sql} EXCEPT {like_sql}) ended"
            " WHERE id NOT IN (SELECT id FROM rating_rate WHERE deck_id = %s AND valid_from_version = %s)",
            [draft.pk, *base_params, *like_params, draft.deck_id, draft.number],
        )


def _ids_sql(version: DeckVersion) -> tuple[str, tuple[Any, ...]]:
    sql, params = rates_of(version).values("id").order_by().query.sql_with_params()
    return sql, tuple(params)


def _close_ended(draft: DeckVersion) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE rating_rate SET valid_to_version = %s FROM rating_rateend ended"
            " WHERE ended.draft_id = %s AND rating_rate.id = ended.rate_id",
            [draft.number, draft.pk],
        )


def _content_hash(draft: DeckVersion) -> tuple[str, int]:
    """SHA-256 over head, bands and rows, whatever the order in which they were stored; and the number of rows."""
    columns = ", ".join(f"r.{name}" for name in CONTENT)
    ids, params = _ids_sql(draft)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT encode(sha256(convert_to("  # noqa: S608  names are ours
            "coalesce(string_agg(line, '' ORDER BY line COLLATE \"C\"), ''), 'UTF8')), 'hex'), count(*)"
            f" FROM (SELECT md5(ROW({columns})::text) AS line FROM rating_rate r"
            f" WHERE r.id IN ({ids})) lines",
            params,
        )
        rows_hash, rows = cursor.fetchone()
    head = head_of(draft)
    shared = [head.currency, head.zone, head.numbering, head.rounding, str(head.decimals)]
    lines = [*shared, *(render_band(band) for band in bands_of(draft)), rows_hash]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), rows


def _receipt(version: DeckVersion) -> VersionReceipt:
    return VersionReceipt(
        deck=version.deck.code,
        number=version.number,
        version_id=version.pk,
        state=version.state,
        effective_from=version.effective_from,
        content_hash=version.content_hash,
        rows=version.row_count,
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

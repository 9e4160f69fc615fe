"""The decks of a tariff plan: a draft for each rating plan that says something new, judged as a deck file's is.

A plan that is not live is in force since the beginning of time, and so is each version that replaces one: whatever
instant is asked about, the last folder answers. A live plan's first versions too; later ones take effect in a few
seconds, like every price, and where so many rows change that a second person must agree they are only proposed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q

from billing_platform.auth import Caller
from rating.costs import COST_PLAN
from rating.decks import VersionReceipt, latest_version, open_draft, publish_draft
from rating.drafts import hashed_content
from rating.errors import PlanNotIsolated
from rating.formats.cgrates import PlanFolder
from rating.models import Deck, DeckVersion, TariffPlan, TariffProfile
from rating.publishing import receipt_of, settle
from rating.rails import Publication, Rails, rails_of
from rating.replacement import replace_rows
from rating.tariffs import MAIN
from rating.terms import RAW
from rating.versions import store_bands

LIVE = frozenset({MAIN, COST_PLAN})
BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
REASON = "tariff plan"
AT_ONCE = Publication(BEGINNING, REASON, correction=True)
SOON = Publication(reason=REASON)


@dataclass(frozen=True, slots=True)
class DeckDraft:
    """What a folder makes of a deck: a draft, or the same content that waits for a second person already.

    `before` is the version that it follows. `rails` judge it where its prices are live.
    """

    draft: DeckVersion
    before: DeckVersion | None
    rails: Rails | None

    @property
    def changes_live(self) -> bool:
        """Are there prices in use that it takes over from?"""
        return self.rails is not None and self.before is not None


def draw_up_decks(plan: TariffPlan, folder: PlanFolder, *, caller: Caller) -> list[DeckDraft]:
    """A draft for each deck that does not say the same already. Raises PlanNotIsolated."""
    drawn = [_draw_up(deck, folder, name, caller=caller) for name, deck in _decks(plan, folder).items()]
    return [one for one in drawn if one is not None]


def settle_decks(drafts: Sequence[DeckDraft], *, caller: Caller) -> tuple[VersionReceipt, ...]:
    """Publish the drafts; where a second person must agree to so many rows in use, propose those that change them.

    A folder is one change: the rows of its decks are counted together. Raises TermsRefused.
    """
    touched = sum(one.rails.difference.touched for one in drafts if one.rails is not None and one.before is not None)
    return tuple(_settle(one, touched=touched, caller=caller) for one in drafts)


def deck_code(plan: TariffPlan, rating_plan: str) -> str:
    """The code, and the family, of the deck that a rating plan is."""
    return f"{plan.code}/{rating_plan}"


def _decks(plan: TariffPlan, folder: PlanFolder) -> dict[str, Deck]:
    """The deck of each rating plan, by Id; new ones are made. Raises PlanNotIsolated."""
    codes = {name: deck_code(plan, name) for name in sorted(folder.rating_plans)}
    taken = Deck.objects.filter(Q(code__in=codes.values()) | Q(family__in=codes.values()))
    stranger = taken.exclude(plan=plan).values_list("code", flat=True).first()
    if stranger is not None:
        raise PlanNotIsolated(plan=plan.code, deck=stranger)
    users = TariffProfile.objects.filter(family__in=codes.values()).exclude(plan=plan.code)
    user = users.values_list("plan", "family").first()
    if user is not None:
        raise PlanNotIsolated(plan=plan.code, deck=user[1], used_by=user[0])
    known = {deck.code for deck in taken}
    Deck.objects.bulk_create(
        Deck(code=code, family=code, plan=plan, numbering=RAW, zone=plan.zone, currency=plan.currency)
        for code in codes.values()
        if code not in known
    )
    decks = {deck.code: deck for deck in taken.select_related("carrier", "plan")}
    return {name: decks[code] for name, code in codes.items()}


def _draw_up(deck: Deck, folder: PlanFolder, rating_plan: str, *, caller: Caller) -> DeckDraft | None:
    """A draft with the rating plan's rows and bands; None where the deck says the same already."""
    before = latest_version(deck)
    with transaction.atomic():  # a draft that says nothing new goes away again
        draft = open_draft(deck, caller=caller, reason=REASON)
        replace_rows(draft, folder.rows_of(rating_plan))
        store_bands(draft, folder.bands_of(rating_plan))
        found = draft if before is None else _new_content(draft, before)
        if found is not draft:
            transaction.set_rollback(True)
    if found is None:
        return None
    is_live = deck.plan is not None and deck.plan.code in LIVE
    return DeckDraft(found, before, rails_of(found, SOON) if is_live else None)


def _new_content(draft: DeckVersion, before: DeckVersion) -> DeckVersion | None:
    """The draft, or a version with the same content that waits for a second person; None when nothing is new."""
    content = hashed_content(draft)[0]
    if content == before.content_hash:
        return None
    proposals = DeckVersion.objects.filter(deck=draft.deck, base=draft.base, state=DeckVersion.State.PROPOSED)
    waiting = proposals.select_related("deck__carrier")
    return next((one for one in waiting if hashed_content(one)[0] == content), draft)


def _settle(one: DeckDraft, *, touched: int, caller: Caller) -> VersionReceipt:
    if one.draft.state == DeckVersion.State.PROPOSED:
        return receipt_of(one.draft)
    if one.changes_live:
        return settle(one.draft, SOON, touched=touched, caller=caller)
    return publish_draft(one.draft, publication=AT_ONCE, caller=caller)

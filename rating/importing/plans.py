"""Tariff plans that come as a folder: each import makes the plan what the folder says, as a whole or not at all.

A plan's decks are named `<plan>/<Id>`; nobody but the plan's own assignments may use them, so no plan but those that
are live can touch a live price. The folder's content is compared with what is in force: what says the same makes no
version, and a folder that changes nothing is nothing to do. A live plan passes the guard rails of deck files, all its
decks together. While versions of it wait for a second person its assignments stay as they are; the same folder given
again afterwards does what is left.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import Q

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.trail import record_act
from rating import tariffs
from rating.decks import VersionReceipt
from rating.differences import DraftDifference, together
from rating.errors import ImportRefused, PlanHeadFixed, PlanIsLive, PlanUnreadable
from rating.formats.cgrates import COLUMNS, PlanFault, PlanFolder, ProfileKey
from rating.importing.plan_decks import LIVE, DeckDraft, deck_code, draw_up_decks, settle_decks
from rating.messages import plan_message_of
from rating.models import Deck, DeckVersion, TariffPlan, TariffProfile
from rating.rails import check_confirmed, token_of

ERRORS_SHOWN = 20
CHUNK = 1000
_PLAN = re.compile(r"[\w.-]{1,64}")
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)

Assigned = tuple[str, tuple[str, ...]]  # a family of decks, and the subjects to ask next


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOrder:
    """Which plan a folder is for. Its bands are judged in `zone`; `replaces_live` allows it to change live prices."""

    plan: str
    zone: str = "UTC"
    currency: str = "CNY"
    replaces_live: bool = False


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What becomes of the plan's assignments: those that are new, the ids of those that are gone, how many stay."""

    wanted: Mapping[ProfileKey, Assigned]
    gone: list[int]
    same: int

    @property
    def counts(self) -> dict[str, int]:
        """As a receipt counts them."""
        return {
            "profiles_created": len(self.wanted), "profiles_removed": len(self.gone), "profiles_same": self.same,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReceipt:
    """What a folder says and what it changes, or changed: rows by file, decks, versions, assignments.

    Of a live plan also the difference of each deck that changes, by code, the guard rails that they or the assignments
    touch, and the token that confirms them.
    """

    plan: str
    sha256: str
    counts: Mapping[str, int]
    errors: tuple[PlanFault, ...]
    warnings: tuple[PlanFault, ...]
    versions: tuple[VersionReceipt, ...] = ()
    differences: Mapping[str, DraftDifference] = field(default_factory=dict)
    rails: tuple[str, ...] = ()
    token: str = ""
    is_changed: bool = False

    @property
    def waits(self) -> bool:
        """Must a second person agree before the plan is what the folder says?"""
        return any(version.approvers for version in self.versions)


def preview_plan(folder: PlanFolder, order: PlanOrder, *, caller: Caller) -> PlanReceipt:
    """What the folder would change; nothing stays behind. Raises PlanUnreadable, PlanHeadFixed, PlanNotIsolated."""
    _check(order)
    if folder.error:
        return _receipt(folder, order)
    with transaction.atomic():  # rolled back: the preview is the import without its end
        receipt = _replace(folder, order, caller=caller)
        transaction.set_rollback(True)
    return receipt


@transaction.atomic(durable=True)  # decks, versions, assignments and the audit row become true together
def apply_plan(folder: PlanFolder, order: PlanOrder, *, caller: Caller, confirm: str = "") -> PlanReceipt:
    """Make the plan what the folder says; where it says so already, nothing is written.

    Versions that need a second person are only proposed, and the receipt waits. Raises ImportRefused (the folder has
    errors), PlanIsLive, GuardRail (repeat with its token), PlanUnreadable, PlanHeadFixed, PlanNotIsolated.
    """
    _check(order)
    if folder.error:
        raise ImportRefused(errors=fault_items(folder.errors[:ERRORS_SHOWN]), error_count=folder.error)
    receipt = _replace(folder, order, caller=caller)
    if not receipt.is_changed:
        transaction.set_rollback(True)
    elif order.plan in LIVE and not order.replaces_live:
        raise PlanIsLive(plan=order.plan)
    check_confirmed(receipt.rails, token=receipt.token, confirm=confirm)
    return receipt


def fault_items(faults: Iterable[PlanFault]) -> list[dict[str, Any]]:
    """Faults for people and programs: file, line, column, value, code, and the message in the language in use."""
    return [{**fault._asdict(), "message": plan_message_of(fault.code)} for fault in faults]


def _check(order: PlanOrder) -> None:
    faults = {
        "plan": _PLAN.fullmatch(order.plan),
        "zone": order.zone in available_timezones(),
        "currency": _CURRENCY.fullmatch(order.currency),
    }
    wrong = [name for name, is_right in faults.items() if not is_right]
    if wrong:
        raise PlanUnreadable(**{name: getattr(order, name) for name in wrong})


def _replace(folder: PlanFolder, order: PlanOrder, *, caller: Caller) -> PlanReceipt:
    """Everything that the folder changes, in the caller's transaction."""
    plan, is_new = TariffPlan.objects.get_or_create(
        code=order.plan, defaults={"zone": order.zone, "currency": order.currency}
    )
    plan = TariffPlan.objects.select_for_update().get(pk=plan.pk)  # one import of a plan at a time
    if (plan.zone, plan.currency) != (order.zone, order.currency):
        raise PlanHeadFixed(plan=plan.code, zone=plan.zone, currency=plan.currency)
    drafts, profiles = draw_up_decks(plan, folder, caller=caller), _profile_change(plan, folder)
    rails = _rails(drafts, profiles) if plan.code in LIVE else ()
    versions = settle_decks(drafts, caller=caller)
    differences = {one.draft.deck.code: one.rails.difference for one in drafts if one.rails is not None}
    told = together(differences.values()).counts if plan.code in LIVE else {}
    read = _receipt(folder, order)
    receipt = replace(
        read,
        counts={**read.counts, **told, "versions": len(versions), **profiles.counts},
        versions=versions,
        differences=differences,
        rails=rails,
        token=_token(folder, drafts, profiles) if rails else "",
        is_changed=is_new or bool(versions or profiles.wanted or profiles.gone) or _was_approved(plan),
    )
    if not receipt.waits:
        _write_profiles(plan, profiles)
        _record(plan, receipt, caller=caller)
    return receipt


def _rails(drafts: Iterable[DeckDraft], profiles: ProfileChange) -> tuple[str, ...]:
    """The guard rails that any of the decks touches, or the assignments."""
    names = [name for one in drafts if one.rails is not None for name in one.rails.names]
    return tuple(dict.fromkeys([*names, *(["assignments"] if profiles.gone else [])]))


def _token(folder: PlanFolder, drafts: Iterable[DeckDraft], profiles: ProfileChange) -> str:
    """Another folder, or another version before it, gives another token."""
    follows = [[one.draft.deck.code, one.before.number if one.before else 0] for one in drafts]
    return token_of([folder.sha256, follows, profiles.counts])


def _was_approved(plan: TariffPlan) -> bool:
    """Did a second person agree to versions of the plan since a folder was applied?"""
    published = DeckVersion.objects.filter(deck__plan=plan, state=DeckVersion.State.PUBLISHED)
    return published.filter(published_at__gt=plan.applied_at).exists()


def _receipt(folder: PlanFolder, order: PlanOrder) -> PlanReceipt:
    return PlanReceipt(
        plan=order.plan,
        sha256=folder.sha256,
        counts={
            **{name.removesuffix(".csv"): folder.read[name] for name in COLUMNS},
            "error": folder.error,
            "decks": len(folder.rating_plans),
            "rows": folder.rows,
        },
        errors=tuple(folder.errors),
        warnings=tuple(folder.warnings),
    )


def _record(plan: TariffPlan, receipt: PlanReceipt, *, caller: Caller) -> None:
    facts = {"sha256": receipt.sha256, "counts": dict(receipt.counts)}
    TariffPlan.objects.filter(pk=plan.pk).update(**facts, applied_at=clock.now(), applied_by=caller.actor[:80])
    before = {"sha256": plan.sha256, "counts": plan.counts} if plan.sha256 else None
    record_act(caller, "tariff_plan.replace", target=("tariffplan", plan.code), change=(before, facts))
    transaction.on_commit(tariffs.refresh)


def _profile_change(plan: TariffPlan, folder: PlanFolder) -> ProfileChange:
    """What makes the plan's assignments those of the folder."""
    wanted: dict[ProfileKey, Assigned] = {
        key: (deck_code(plan, profile.rating_plan), profile.fallback) for key, profile in folder.profiles.items()
    }
    gone: list[int] = []
    for profile_id, key, assigned in _replaceable(plan, folder):
        if wanted.get(key) == assigned:
            del wanted[key]
        else:
            gone.append(profile_id)
    return ProfileChange(wanted, gone, same=len(folder.profiles) - len(wanted))


def _write_profiles(plan: TariffPlan, change: ProfileChange) -> None:
    for start in range(0, len(change.gone), CHUNK):
        TariffProfile.objects.filter(pk__in=change.gone[start : start + CHUNK]).delete()
    TariffProfile.objects.bulk_create(
        (
            TariffProfile(plan=plan.code, **key._asdict(), family=family, fallback_subjects=list(fallback))
            for key, (family, fallback) in change.wanted.items()
        ),
        batch_size=CHUNK,
    )


def _replaceable(plan: TariffPlan, folder: PlanFolder) -> Iterator[tuple[int, ProfileKey, Assigned]]:
    """The plan's assignments as they stand. Of a live plan only those of subjects that the folder names, and those that
    a folder made: an account that somebody else assigned keeps its tariff."""
    rows = TariffProfile.objects.filter(plan=plan.code)
    named = {key[:3] for key in folder.profiles}
    own = set(Deck.objects.filter(plan=plan).values_list("family", flat=True))
    if plan.code in LIVE:
        rows = rows.filter(Q(family__in=own) | Q(tenant__in={tenant for tenant, *_ in named}))
    columns = rows.values_list("id", *ProfileKey._fields, "family", "fallback_subjects")
    for profile_id, *key, family, fallback in columns.iterator(chunk_size=CHUNK):
        if plan.code not in LIVE or family in own or tuple(key[:3]) in named:
            yield profile_id, ProfileKey(*key), (family, tuple(fallback))

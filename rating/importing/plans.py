"""Tariff plans that come as a folder: each import makes the plan what the folder says, as a whole or not at all.

A plan's decks are named `<plan>/<Id>`; nobody but the plan's own assignments may use them, so no plan but those that
are live can touch a live price. The folder's content is compared with what is in force: what says the same makes no
version, and a folder that changes nothing is nothing to do. A plan that is not live is in force since the beginning of
time, and so is each version that replaces one: whatever instant is asked about, the last folder answers. A live plan's
first versions too; later ones take effect in a few seconds, like every price.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import Q

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.trail import record_act
from rating import tariffs
from rating.costs import COST_PLAN
from rating.decks import Publication, VersionReceipt, latest_version, open_draft, publish_draft
from rating.errors import ImportRefused, PlanHeadFixed, PlanIsLive, PlanNotIsolated, PlanUnreadable
from rating.formats.cgrates import COLUMNS, PlanFault, PlanFolder, ProfileKey
from rating.messages import plan_message_of
from rating.models import Deck, TariffPlan, TariffProfile
from rating.replacement import replace_rows
from rating.tariffs import MAIN
from rating.terms import RAW
from rating.versions import store_bands

LIVE = frozenset({MAIN, COST_PLAN})
BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
ERRORS_SHOWN = 20
CHUNK = 1000
REASON = "tariff plan"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReceipt:
    """What a folder says and what it changes, or changed: rows by file, decks, versions, assignments."""

    plan: str
    sha256: str
    counts: Mapping[str, int]
    errors: tuple[PlanFault, ...]
    warnings: tuple[PlanFault, ...]
    versions: tuple[VersionReceipt, ...] = ()
    is_changed: bool = False


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
def apply_plan(folder: PlanFolder, order: PlanOrder, *, caller: Caller) -> PlanReceipt:
    """Make the plan what the folder says; where it says so already, nothing is written.

    Raises ImportRefused (the folder has errors), PlanIsLive, PlanUnreadable, PlanHeadFixed, PlanNotIsolated.
    """
    _check(order)
    if folder.error:
        raise ImportRefused(errors=fault_items(folder.errors[:ERRORS_SHOWN]), error_count=folder.error)
    receipt = _replace(folder, order, caller=caller)
    if not receipt.is_changed:
        transaction.set_rollback(True)
    elif order.plan in LIVE and not order.replaces_live:
        raise PlanIsLive(plan=order.plan)
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
    decks = _decks(plan, folder)
    is_live = plan.code in LIVE
    made = [_publish(deck, folder, name, is_live=is_live, caller=caller) for name, deck in decks.items()]
    versions = tuple(version for version in made if version is not None)
    profiles = _replace_profiles(plan, folder)
    receipt = replace(
        _receipt(folder, order),
        versions=versions,
        is_changed=is_new or bool(versions or profiles["profiles_created"] or profiles["profiles_removed"]),
    )
    receipt = replace(receipt, counts={**receipt.counts, "versions": len(versions), **profiles})
    _record(plan, receipt, caller=caller)
    return receipt


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


def _decks(plan: TariffPlan, folder: PlanFolder) -> dict[str, Deck]:
    """The deck of each rating plan, by Id; new ones are made. Raises PlanNotIsolated."""
    codes = {name: _code(plan, name) for name in sorted(folder.rating_plans)}
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
    decks = {deck.code: deck for deck in taken.select_related("carrier")}
    return {name: decks[code] for name, code in codes.items()}


def _code(plan: TariffPlan, rating_plan: str) -> str:
    return f"{plan.code}/{rating_plan}"


def _publish(
    deck: Deck, folder: PlanFolder, rating_plan: str, *, is_live: bool, caller: Caller
) -> VersionReceipt | None:
    """A version with the rating plan's rows and bands; None where the deck says the same already."""
    before = latest_version(deck)
    with transaction.atomic():  # a draft that says nothing new goes away again
        draft = open_draft(deck, caller=caller, reason=REASON)
        replace_rows(draft, folder.rows_of(rating_plan))
        store_bands(draft, folder.bands_of(rating_plan))
        soon = is_live and before is not None
        publication = Publication(None if soon else BEGINNING, reason=REASON, correction=not soon)
        version = publish_draft(draft, publication=publication, caller=caller)
        if before is not None and version.content_hash == before.content_hash:
            transaction.set_rollback(True)
            return None
    return version


def _replace_profiles(plan: TariffPlan, folder: PlanFolder) -> dict[str, int]:
    """The plan's assignments become those of the folder; how many are new, gone, or stay."""
    wanted: dict[ProfileKey, Assigned] = {
        key: (_code(plan, profile.rating_plan), profile.fallback) for key, profile in folder.profiles.items()
    }
    gone: list[int] = []
    for profile_id, key, assigned in _replaceable(plan, folder):
        if wanted.get(key) == assigned:
            del wanted[key]
        else:
            gone.append(profile_id)
    for start in range(0, len(gone), CHUNK):
        TariffProfile.objects.filter(pk__in=gone[start : start + CHUNK]).delete()
    TariffProfile.objects.bulk_create(
        (
            TariffProfile(plan=plan.code, **key._asdict(), family=family, fallback_subjects=list(fallback))
            for key, (family, fallback) in wanted.items()
        ),
        batch_size=CHUNK,
    )
    same = len(folder.profiles) - len(wanted)
    return {"profiles_created": len(wanted), "profiles_removed": len(gone), "profiles_same": same}


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

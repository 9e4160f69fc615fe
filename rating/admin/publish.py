"""Acts on decks and versions in the admin: publish, approve, decline, discard, withdraw, revert, clone."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing_platform import clock
from billing_platform.auth import caller_of_request
from rating.admin.acts import Act, Done, named_rails
from rating.admin.forms import CloneForm, PublishForm, ReasonForm
from rating.comparisons import compare
from rating.copies import clone_deck, revert_deck
from rating.decks import Publication, VersionReceipt, discard_draft, publish_version, withdraw_version
from rating.differences import drawn_from
from rating.errors import NotADraft, NotProposed
from rating.models import Deck, DeckVersion
from rating.proposals import approve_version, decline_version
from rating.rails import rails_of
from rating.versions import latest_version

State = DeckVersion.State


def publishing(request: HttpRequest, draft: DeckVersion) -> Act:
    """Schedule a draft. Raises NotADraft for what is published or proposed already."""
    if draft.state != State.DRAFT:
        raise NotADraft(deck=draft.deck.code, version=draft.number)
    zone = ZoneInfo(draft.deck.zone)
    before, tomorrow = drawn_from(draft), next_midnight(zone)
    rails = rails_of(draft, Publication(tomorrow))

    def run(cleaned: Mapping[str, Any]) -> Done:
        receipt = publish_version(
            draft.pk,
            publication=asked_publication(cleaned),
            caller=caller_of_request(request),
            confirm=cleaned["confirm"],
        )
        return published(receipt, draft.deck_id)

    return Act(
        title=_("Publish"),
        subject=subject_of(draft),
        consequence=_("From its effective time on it prices every call. It can never be edited again."),
        form=lambda given: PublishForm(given, zone=zone, initial={"effective_from": tomorrow}),
        run=run,
        counts=compare(before, draft).counts if before else {},
        template="publish",
        more={
            "draft": draft,
            "before": before,
            "rails": named_rails(rails.names),
            "token": rails.token,
            "second_person": rails.approvers,
        },
        deck=draft.deck,
        again=reverse("admin:rating_deck_edit", args=[draft.deck_id]),
    )


def discarding(request: HttpRequest, draft: DeckVersion) -> Act:
    """Throw a draft away."""

    def run(cleaned: Mapping[str, Any]) -> Done:
        discard_draft(draft.pk, caller=caller_of_request(request))
        return Done(deck_address(draft.deck_id))

    return _act(draft, _("Discard the draft"), _("Its changes are lost."), run)


def withdrawing(request: HttpRequest, version: DeckVersion) -> Act:
    """Take back a version before it takes effect."""

    def run(cleaned: Mapping[str, Any]) -> Done:
        withdraw_version(version.pk, caller=caller_of_request(request), reason=cleaned["reason"])
        return Done(deck_address(version.deck_id))

    consequence = _("The version never takes effect. Possible only before its effective time.")
    return _act(version, _("Withdraw"), consequence, run)


def reverting(request: HttpRequest, version: DeckVersion) -> Act:
    """Publish the content of an older version again."""
    latest = latest_version(version.deck)

    def run(cleaned: Mapping[str, Any]) -> Done:
        caller = caller_of_request(request)
        receipt = revert_deck(
            version.deck.code, to=version.number, publication=asked_publication(cleaned), caller=caller
        )
        return published(receipt, version.deck_id)

    return Act(
        title=_("Revert to this version"),
        subject=subject_of(version),
        consequence=_("Publishes a new version with exactly this content; nothing is deleted."),
        form=lambda given: PublishForm(given, zone=ZoneInfo(version.deck.zone)),
        run=run,
        counts=compare(latest, version).counts if latest else {},
        deck=version.deck,
        again=deck_address(version.deck_id),
    )


def approving(request: HttpRequest, proposed: DeckVersion) -> Act:
    """A second person agrees to a proposal. Raises NotProposed."""
    _check_proposed(proposed)
    before = drawn_from(proposed)

    def run(cleaned: Mapping[str, Any]) -> Done:
        return published(approve_version(proposed.pk, caller=caller_of_request(request)), proposed.deck_id)

    return Act(
        title=_("Approve"),
        subject=subject_of(proposed),
        consequence=_("Somebody proposed this version. You agree to exactly what is shown here."),
        form=forms.Form,
        run=run,
        counts=compare(before, proposed).counts if before else {},
        template="decide",
        more={"draft": proposed, "before": before, "own": proposed.proposed_by == caller_of_request(request).actor},
        deck=proposed.deck,
        again=deck_address(proposed.deck_id),
    )


def declining(request: HttpRequest, proposed: DeckVersion) -> Act:
    """A proposal becomes a draft again. Raises NotProposed."""
    _check_proposed(proposed)

    def run(cleaned: Mapping[str, Any]) -> Done:
        decline_version(proposed.pk, caller=caller_of_request(request), reason=cleaned["reason"])
        return Done(deck_address(proposed.deck_id))

    return _act(proposed, _("Decline"), _("It becomes a draft again; nothing is published."), run)


def cloning(request: HttpRequest, deck: Deck) -> Act:
    """A new deck with the rates of this one, as a draft."""

    def run(cleaned: Mapping[str, Any]) -> Done:
        draft = clone_deck(deck.code, cleaned["code"], caller=caller_of_request(request))
        return Done(deck_address(draft.deck_id))

    consequence = _("A new deck with the same head and a draft with the rates of the latest version.")
    return Act(_("Clone"), deck.code, consequence, CloneForm, run, deck=deck)


def deck_address(deck_id: int) -> str:
    """The deck's page."""
    return reverse("admin:rating_deck_page", args=[deck_id])


def subject_of(version: DeckVersion) -> str:
    """How people name a version: cn-retail v7."""
    return f"{version.deck.code} v{version.number}"


def _check_proposed(version: DeckVersion) -> None:
    if version.state != State.PROPOSED:
        raise NotProposed(deck=version.deck.code, version=version.number)


def published(receipt: VersionReceipt, deck_id: int) -> Done:
    """Back to the deck, with a word when a second person is waited for."""
    waits = receipt.state == State.PROPOSED
    return Done(
        deck_address(deck_id), _("Proposed: a second person must approve it before it counts.") if waits else ""
    )


def _act(version: DeckVersion, title: Any, consequence: Any, run: Any) -> Act:
    return Act(title, subject_of(version), consequence, ReasonForm, run, deck=version.deck)


def asked_publication(cleaned: Mapping[str, Any]) -> Publication:
    """What a PublishForm asks for."""
    return Publication(cleaned["effective_from"], cleaned["reason"], cleaned["correction"])


def next_midnight(zone: ZoneInfo) -> datetime:
    """The next midnight in the deck's zone: when prices usually change."""
    today = clock.now().astimezone(zone).date()
    return datetime.combine(today + timedelta(days=1), time(), tzinfo=zone)

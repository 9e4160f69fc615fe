"""Versions that wait for a second person (第二人): approved as they stand, or declined. Nobody approves his own."""

from collections.abc import Collection, Iterable

from django.db import transaction
from django.urls import reverse

from billing_platform.auth import Caller
from billing_platform.errors import Forbidden
from billing_platform.runs import Run
from billing_platform.states import claim
from rating.decks import load_version_by_id
from rating.errors import ApprovalNeeded, NotProposed, OwnProposal
from rating.models import DeckVersion
from rating.publishing import VersionReceipt, announced, check_publishable, lock_deck, publish
from rating.rails import LARGE_APPROVERS, Publication, approvers_of
from rating.versions import State


@transaction.atomic(durable=True)  # as publishing
def approve_version(version_id: int, *, caller: Caller) -> VersionReceipt:
    """The second person agrees: the proposal is published as it stands.

    Raises DeckUnknown, NotProposed, OwnProposal, Forbidden, DraftOutdated, TooSoon (its time has passed meanwhile).
    """
    draft = load_version_by_id(version_id)
    lock_deck(draft)
    if DeckVersion.objects.filter(pk=draft.pk, state=State.PROPOSED).first() is None:
        raise NotProposed(deck=draft.deck.code, version=draft.number)
    if caller.actor == draft.proposed_by:
        raise OwnProposal(version=draft.number)
    _check_role(approvers_of(draft), caller)
    check_publishable(draft, State.PROPOSED)
    publication = Publication(draft.effective_from, draft.reason, draft.correction)
    return publish(draft, publication, caller=caller)


@transaction.atomic(durable=True)  # the state and its audit row move together
def decline_version(version_id: int, *, caller: Caller, reason: str) -> VersionReceipt:
    """A proposal becomes a draft again; its proposer may take it back too.

    Raises DeckUnknown, NotProposed, Forbidden.
    """
    draft = load_version_by_id(version_id)
    if caller.actor != draft.proposed_by:
        _check_role(LARGE_APPROVERS, caller)
    taken_back = {"effective_from": None, "correction": False, "proposed_at": None, "proposed_by": ""}
    proposed = DeckVersion.objects.filter(pk=draft.pk, state=State.PROPOSED)
    if not claim(proposed, DeckVersion.TRANSITIONS, State.DRAFT, **taken_back):
        raise NotProposed(deck=draft.deck.code, version=draft.number)
    return announced(draft, caller=caller, act="deck.decline", reason=reason)


def ask_second_person(run: Run, versions: Iterable[VersionReceipt]) -> None:
    """Name the proposals among the versions that a command made, and end the run with exit code 4.

    Nothing when all of them are published. Raises ApprovalNeeded.
    """
    proposed = [version for version in versions if version.approvers]
    for version in proposed:
        place = reverse("admin:rating_deckversion_change", args=[version.version_id])
        run.items.append({"state": version.state, "approve": place, "roles": list(version.approvers)})
    for version in proposed:
        raise ApprovalNeeded(deck=version.deck, version=version.number, roles=list(version.approvers))


def _check_role(roles: Collection[str], caller: Caller) -> None:
    if not caller.roles & set(roles):
        raise Forbidden(needs=sorted(roles))

"""What a command says of a version that waits for a second person: who may approve it, and where."""

from django.urls import reverse

from billing_platform.runs import Run
from rating.decks import VersionReceipt
from rating.errors import ApprovalNeeded


def ask_second_person(run: Run, receipt: VersionReceipt) -> None:
    """Name the proposal and end the run with exit code 4; nothing for a version that is published. ApprovalNeeded."""
    if not receipt.approvers:
        return
    place = reverse("admin:rating_deckversion_change", args=[receipt.version_id])
    run.items.append({"state": receipt.state, "approve": place, "roles": list(receipt.approvers)})
    raise ApprovalNeeded(deck=receipt.deck, version=receipt.number, roles=list(receipt.approvers))

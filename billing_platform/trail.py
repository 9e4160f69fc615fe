"""The audit trail: who did what to which object, from where, before and after."""

from collections.abc import Callable
from typing import TypeVar

from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.logs import masked
from billing_platform.models import AuditEntry

Outcome = TypeVar("Outcome")


def record_act(
    caller: Caller,
    act: str,
    *,
    target: tuple[str, object],
    change: tuple[object, object] = (None, None),
    reason: str = "",
    address: str = "",
) -> None:
    """Append one entry, inside the transaction of the act: `target` is (type, id), `change` is (before, after)."""
    AuditEntry.objects.create(
        actor=caller.actor, organization=caller.organization, act=act, object_type=target[0],
        object_id=str(target[1])[:128], before=change[0], after=change[1], reason=masked(reason)[:300], address=address,
    )  # fmt: skip


@transaction.atomic
def together(act: Callable[[], Outcome], note: Callable[[Outcome], None]) -> Outcome:
    """An act of a person and its audit row: both or neither."""
    outcome = act()
    note(outcome)
    return outcome

"""The review list in the hands of people."""

from django.db import transaction

from billing_platform.auth import Caller
from billing_platform.states import claim
from billing_platform.trail import record_act
from cdr.models import ReviewItem


@transaction.atomic(durable=True)  # the item's state and who changed it
def finish_review(item_id: int, *, caller: Caller) -> bool:
    """A person has decided; False when somebody had before."""
    done = claim(ReviewItem.objects.filter(pk=item_id), ReviewItem.TRANSITIONS, ReviewItem.State.DONE)
    if done:
        record_act(caller, "reviewitem.done", target=("reviewitem", item_id), change=("open", "done"))
    return done

"""Visible state machines: a move is one UPDATE that must touch exactly one row."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model, QuerySet


def claim(rows: QuerySet[Any, Any], transitions: Mapping[Any, frozenset[str]], to: str, **changes: object) -> bool:
    """Move the one row of `rows` to state `to`; False when its present state does not allow that (someone was first).

    `transitions` maps each state to the states that may follow it.
    """
    allowed = [state for state, following in transitions.items() if to in following]
    moved = rows.filter(state__in=allowed).update(state=to, **changes)
    assert moved <= 1, "a claim is about one row"
    return moved == 1


def read_state(row: Model) -> str:
    """The state as stored now, not as it was when the instance was loaded."""
    row.refresh_from_db(fields=["state"])
    return str(row.__dict__["state"])

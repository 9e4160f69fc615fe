"""Which codes of carriers are ours: for labels that must stay few, whatever a sender writes."""

import time

from django.db import DatabaseError

from rating.models import Carrier

KEPT_SECONDS = 60.0


class _Codes:
    """The codes as last read."""

    def __init__(self) -> None:
        self.known: frozenset[str] = frozenset()
        self.read_at = float("-inf")


_codes = _Codes()


def known_carriers() -> frozenset[str]:
    """The codes of all carriers, at most a minute old; while the database is away, those of before."""
    if time.monotonic() - _codes.read_at > KEPT_SECONDS:
        _codes.read_at = time.monotonic()
        try:
            _codes.known = frozenset(Carrier.objects.values_list("code", flat=True))
        except DatabaseError:
            return _codes.known
    return _codes.known

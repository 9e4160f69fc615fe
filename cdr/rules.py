"""The filter chain in force, read from its rows and remembered for a few seconds."""

import threading
import time

from django.conf import settings

from cdr.filters import RULES, TOO_SHORT, Rule
from cdr.models import FilterRule

KEPT_SECONDS = 5.0


class _Chain:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rules: tuple[Rule, ...] = ()
        self.believed_until = 0.0


_chain = _Chain()


def current_rules() -> tuple[Rule, ...]:
    """The enabled rules in their order."""
    if time.monotonic() > _chain.believed_until:
        with _chain.lock:
            if time.monotonic() > _chain.believed_until:
                _chain.rules = _read_rules()
                _chain.believed_until = time.monotonic() + KEPT_SECONDS
    return _chain.rules


def forget_rules() -> None:
    """Drop what this process remembers (a rule was changed here)."""
    _chain.believed_until = 0.0


def _read_rules() -> tuple[Rule, ...]:
    rows = FilterRule.objects.filter(enabled=True, code__in=list(RULES)).order_by("position", "code")
    return tuple(Rule(row.code, row.version, _defaults(row.code) | row.parameters) for row in rows)


def _defaults(code: str) -> dict[str, object]:
    if code == TOO_SHORT:
        return {"seconds": settings.CDR_MIN_SECONDS}
    return {"numbers": []}

"""How numbers are dialled here: the access codes that are cut off, from their table, and the home area."""

from django.conf import settings

from rating.caching.live import generations
from rating.models import SelectionPrefix
from rating.segments import NumberContext

PREFIXES_MAX = 1000


class _Contexts:
    """Contexts at one generation of the segment tables, by home area."""

    def __init__(self) -> None:
        self._kept: tuple[int, dict[str, NumberContext]] = (-1, {})

    def context(self, home_area: str) -> NumberContext:
        generation = generations.number("segments")
        if self._kept[0] != generation:
            prefixes = SelectionPrefix.objects.values_list("prefix", flat=True)[:PREFIXES_MAX]
            longest_first = tuple(sorted(prefixes, key=len, reverse=True))
            areas = ("", settings.RATING_HOME_AREA)
            self._kept = generation, {area: NumberContext(area, selection_prefixes=longest_first) for area in areas}
        return self._kept[1][home_area]


_contexts = _Contexts()


def anywhere() -> NumberContext:
    """Without a home area: a local number is not enough."""
    return _contexts.context("")


def at_home() -> NumberContext:
    """In the area of RATING_HOME_AREA."""
    return _contexts.context(settings.RATING_HOME_AREA)

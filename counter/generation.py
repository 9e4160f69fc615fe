"""The directory's generation: while the number stands still, "who pays" has the same answers. At most a second old."""

import threading
import time

from django.db import connection

from counter.models import DirectoryGeneration

CHECK_SECONDS = 1.0


class _Seen:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number, self.database, self.at = 0, "", float("-inf")


_seen = _Seen()


def directory_generation() -> str:
    """The number as text, for answers on the wire. Taken before what it vouches for is read."""
    database = str(connection.settings_dict["NAME"])
    if time.monotonic() - _seen.at > CHECK_SECONDS or database != _seen.database:
        with _seen.lock:
            if time.monotonic() - _seen.at > CHECK_SECONDS or database != _seen.database:
                at = time.monotonic()
                number = DirectoryGeneration.objects.values_list("number", flat=True).get(pk=1)
                _seen.number, _seen.database, _seen.at = number, database, at
    return str(_seen.number)

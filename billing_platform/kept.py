"""What a run found, kept whole for a day beside the run, so that a page shows it and hands out its file.

It stands among the stored answers and goes with them: an answer to whoever asked for the run.
"""

import zlib
from hashlib import sha256
from http import HTTPStatus
from typing import Any

import msgspec

from billing_platform import clock
from billing_platform.idempotency import KEPT
from billing_platform.models import StoredAnswer

SUMMARY, ROWS = "summary", "rows"
_CALLER = "run"


def keep_result(run_id: int, part: str, found: Any) -> None:
    """Keep a part of what the run found, in place of what it kept before. Texts, whole numbers, lists and mappings."""
    body, at = zlib.compress(msgspec.json.encode(found), 1), clock.now()
    StoredAnswer.objects.update_or_create(
        organization="", caller=_CALLER, path=_path(run_id), key=part,
        defaults={
            "body_hash": sha256(body).digest(), "status": int(HTTPStatus.OK), "body": body, "created_at": at,
            "answered_at": at,
        },
    )  # fmt: skip


def find_result(run_id: int, part: str) -> Any:
    """What `keep_result` was given; None when there is nothing, or no longer."""
    found = StoredAnswer.objects.filter(organization="", caller=_CALLER, path=_path(run_id), key=part)
    row = found.filter(created_at__gt=clock.now() - KEPT).first()
    return None if row is None or row.body is None else msgspec.json.decode(zlib.decompress(row.body))


def _path(run_id: int) -> str:
    return f"/runs/{run_id}/"

"""Logs: one JSON object a line, escaped, with numbers and secrets masked."""

import json
import logging
import re
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")

_NUMBER = re.compile(r"(?<![0-9A-Za-z_.-])(\+?\d{3})\d{4,12}(\d{4})(?![0-9A-Za-z_.-])")
_SECRET = re.compile(
    r"(?i)((?:api-?key|token|password|secret|authorization|cookie|signature)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)[^\s\"',;}]+"
)
_HOOK = re.compile(r"(/api/v1/providers/[^/\s]+/)[^/\s]+")


def masked(text: str) -> str:
    """Phone numbers as 138****0002; keys, tokens, passwords and hook tokens as ***."""
    return _NUMBER.sub(r"\1****\2", _HOOK.sub(r"\1***", _SECRET.sub(r"\1***", text)))


def masked_number(number: str) -> str:
    """138****0002; short numbers keep their last two digits only."""
    return f"{number[:3]}****{number[-4:]}" if len(number) >= 9 else "*" * max(0, len(number) - 2) + number[-2:]


class JsonFormatter(logging.Formatter):
    """Time, level, logger, masked message, request id; of an exception its class and place, never its values."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            places = []
            while trace is not None:
                places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
                trace = trace.tb_next
            line["trace"] = places[-12:]
        return json.dumps(line, ensure_ascii=True)

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing_platform import registry
from billing_platform.errors import Malformed, PlatformError
from billing_platform.jobs import PlatformCommand, Run, VerificationMismatch
from billing_platform.strict_json import parse_json
from rating.explain import Answer, explain
from rating.explaining.again import mismatch_of, read_charge

_WHOLE = ("version", "fallback_depth")
_QUESTION = (
    "plan", "tenant", "category", "subject", "deck", "version", "caller", "carrier", "kind", "duration", "known_at",
    "fallback_depth",
)  # fmt: skip


def _lines(name: str) -> Iterator[tuple[int, str]]:
    """The lines of a file that hold something, with their numbers."""
    if name == "-":
        yield from ((line, text) for line, text in enumerate(sys.stdin, start=1) if text.strip())
        return
    try:
        with Path(name).open(encoding="utf-8") as lines:
            yield from ((line, text) for line, text in enumerate(lines, start=1) if text.strip())
    except OSError as missing:
        raise Malformed(f"{name}: {missing.strerror}") from missing


class Command(PlatformCommand):
    help = "Why does this call cost that? Numbers, or one JSON question a line; a pricing error is an answer too."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Here `--version` is a deck's version, not Django's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", nargs="*", help="called numbers, as dialled")
        parser.add_argument("--input", metavar="FILE", help="JSON questions, one a line; - = stdin")
        parser.add_argument("--at", metavar="T", help="instant of the answer, with offset; default: now")
        for name in _QUESTION:
            parser.add_argument(f"--{name.replace('_', '-')}", type=int if name in _WHOLE else str)
        parser.add_argument("--stored", type=int, metavar="N", help="write the newest N charges, for --verify")
        parser.add_argument("--verify", action="store_true", help="price the stored charges of --input again")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        self._as_items = options["format"] == "json"
        if options["stored"] is not None:
            self._export(run, options["stored"])
        elif options["verify"]:
            self._verify(run, options["input"])
        else:
            for line, question in self._questions(options):
                answer = self._answer(run, line, question)
                run.counts["answered" if "code" not in answer else "unreadable"] += 1
                self._say(run, answer)

    def text_of(self, run: Run) -> str:
        return ""  # each answer was written as it came

    def _say(self, run: Run, answer: Answer) -> None:
        if self._as_items:
            run.items.append(answer)
        else:
            self.stdout.write(json.dumps(answer, ensure_ascii=False))
            self.stdout.flush()

    def _export(self, run: Run, at_most: int) -> None:
        for stored in registry.resolve(registry.STORED_CHARGES):
            for charge in stored(max(at_most, 0)):
                run.counts["stored"] += 1
                self._say(run, charge)

    def _verify(self, run: Run, name: str | None) -> None:
        """Names each charge whose amount differs. Raises VerificationMismatch when there is one."""
        if not name:
            raise Malformed("--verify reads --input FILE")
        for line, text in _lines(name):
            try:
                mismatch = mismatch_of(read_charge(parse_json(text.encode())))
            except PlatformError as refused:
                run.fail(refused.code, str(refused), ref=f"line {line}")
                continue
            run.counts["verified"] += 1
            if mismatch is not None:
                run.counts["mismatched"] += 1
                self._say(run, {"ref": mismatch.ref, "stored": mismatch.stored, "again": mismatch.again})
        if run.counts["mismatched"]:
            raise VerificationMismatch(charges=run.counts["mismatched"])

    def _questions(self, options: dict[str, Any]) -> Iterator[tuple[int, object]]:
        """Each question with its number; a line that is not JSON is handed on as the text that it is."""
        shared = {name: options[name] for name in _QUESTION if options[name] is not None}
        if options["at"]:
            shared["answer_time"] = options["at"]
        for line, number in enumerate(options["number"], start=1):
            yield line, {**shared, "destination": number}
        if options["input"]:
            yield from _lines(options["input"])

    def _answer(self, run: Run, line: int, question: object) -> Answer:
        try:
            return explain(parse_json(question.encode()) if isinstance(question, str) else question)
        except PlatformError as refused:
            run.fail(refused.code, str(refused), ref=f"line {line}")
            return {"line": line, "code": refused.code, "message": str(refused), **refused.fields}

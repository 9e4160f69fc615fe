import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing_platform.errors import Malformed, PlatformError
from billing_platform.jobs import PlatformCommand, Run
from billing_platform.strict_json import parse_json
from rating.explain import Answer, explain

_QUESTION = ("plan", "tenant", "category", "subject", "deck", "version", "caller", "carrier", "kind", "duration")


def _lines(name: str) -> Iterator[str]:
    if name == "-":
        yield from sys.stdin
        return
    try:
        with Path(name).open(encoding="utf-8") as lines:
            yield from lines
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
            parser.add_argument(f"--{name}", type=int if name == "version" else str)

    def work(self, run: Run, options: dict[str, Any]) -> None:
        as_items = options["format"] == "json"
        for line, question in self._questions(options):
            answer = self._answer(run, line, question)
            run.counts["answered" if "code" not in answer else "unreadable"] += 1
            if as_items:
                run.items.append(answer)
            else:
                self.stdout.write(json.dumps(answer, ensure_ascii=False))
                self.stdout.flush()

    def text_of(self, run: Run) -> str:
        return ""  # each answer was written as it came

    def _questions(self, options: dict[str, Any]) -> Iterator[tuple[int, object]]:
        """Each question with its number; a line that is not JSON is handed on as the text that it is."""
        shared = {name: options[name] for name in _QUESTION if options[name] is not None}
        if options["at"]:
            shared["answer_time"] = options["at"]
        for line, number in enumerate(options["number"], start=1):
            yield line, {**shared, "destination": number}
        if options["input"]:
            yield from ((line, text) for line, text in enumerate(_lines(options["input"]), start=1) if text.strip())

    def _answer(self, run: Run, line: int, question: object) -> Answer:
        try:
            return explain(parse_json(question.encode()) if isinstance(question, str) else question)
        except PlatformError as refused:
            run.fail(refused.code, str(refused), ref=f"line {line}")
            return {"line": line, "code": refused.code, "message": str(refused), **refused.fields}

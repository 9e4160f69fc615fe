"""The contract of every management command: results on stdout, progress on stderr, a JobRun, known exit codes."""

import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError

from billing_platform.errors import PlatformError
from billing_platform.logs import masked
from billing_platform.progress import Progress
from billing_platform.runs import (
    AlreadyRunning,
    Exit,
    GuardRail,
    Run,
    VerificationMismatch,
    close_stale_runs,
    exit_of,
    job_run,
)

__all__ = [
    "AlreadyRunning", "Exit", "GuardRail", "PlatformCommand", "Run", "VerificationMismatch", "close_stale_runs",
    "job_run",
]  # fmt: skip

_COMMON = frozenset({
    "format", "settings", "pythonpath", "traceback", "verbosity", "no_color", "force_color", "skip_checks", "stdout",
    "stderr",
})  # fmt: skip


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM stops like Ctrl-C: at a safe point, with a row that says interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def typed_arguments(parser: CommandParser, options: Mapping[str, Any]) -> list[str]:
    """What was typed behind the command, as far as it says more than the defaults; secrets and numbers masked."""
    given: list[str] = []
    positional: list[str] = []
    for action in parser._actions:
        value = options.get(action.dest)
        if action.dest in _COMMON or value is None or value == action.default:
            continue
        values = [_typed(one) for one in (value if isinstance(value, list) else [value])]
        if not action.option_strings:
            positional += values
        elif action.nargs == 0:
            given.append(action.option_strings[-1])
        else:
            given += [f"{action.option_strings[-1]}={one}" for one in values]
    return [masked(one) for one in [*given, *positional]]


def _typed(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class PlatformCommand(BaseCommand):
    """A command writes `add_arguments` and `work(run, options)`; everything of the contract is here.

    `moves_money`: a dry run unless `--apply`, with `--confirm TOKEN` for guard rails. `exclusive`: one run at a time.
    """

    moves_money: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False

    def work(self, run: Run, options: dict[str, Any]) -> None:
        """Do the job (nothing that lasts when `run.dry_run`) and fill `run`. Refusals are raised."""
        raise NotImplementedError

    def text_of(self, run: Run) -> str:
        """The result for people; a command with a table of its own overrides this."""
        lines = [f"{name}: {count}" for name, count in sorted(run.counts.items())]
        lines += [f"{currency}: {amount:f}" for currency, amount in sorted(run.amounts.items())]
        lines += [json.dumps(item, ensure_ascii=False, default=str) for item in run.items]
        lines += [f"! {error['code']} {error['ref']} {error['message']}" for error in run.errors]
        lines += ["dry run: nothing was changed; add --apply"] if run.dry_run else []
        return "\n".join(lines)

    @property
    def job(self) -> str:
        """The command's name."""
        return type(self).__module__.rsplit(".", 1)[1]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--format", choices=("text", "json"), default="text")
        if self.moves_money:
            parser.add_argument("--apply", action="store_true", help="change something; without it: a dry run")
            parser.add_argument("--confirm", default="", metavar="TOKEN", help="go beyond a guard rail")
        return parser

    def handle(self, *_args: Any, **options: Any) -> None:
        """Django's entry. Ends the process with the contract's exit code when that is not 0."""
        code = self._run(options)
        if code != Exit.DONE:
            sys.exit(int(code))

    def _run(self, options: dict[str, Any]) -> Exit:
        dry_run = self.moves_money and not options["apply"]
        run = Run(0, self.job, dry_run)
        arguments = typed_arguments(self.create_parser("manage.py", self.job), options)
        try:
            with _stoppable(), job_run(self.job, arguments=arguments, dry_run=dry_run, exclusive=self.exclusive) as run:
                run.shown = Progress(sys.stderr, job=self.job)
                self.work(run, options)
                run.shown.end()
            code = Exit.FAILED_ITEMS if run.errors else Exit.DONE
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        except PlatformError as refusal:
            code = exit_of(refusal)
            token = f"; repeat with --confirm {refusal.fields['token']}" if "token" in refusal.fields else ""
            run.fail(refusal.code, f"{refusal}{token}", ref=", ".join(f"{k}={v}" for k, v in refusal.fields.items()))
        except OperationalError as gone:
            code = Exit.TRY_LATER
            run.fail("unavailable", type(gone).__name__)
        self._print(run, as_json=options["format"] == "json")
        return code

    def _print(self, run: Run, *, as_json: bool) -> None:
        text = json.dumps(run.envelope(), ensure_ascii=False, default=str) if as_json else self.text_of(run)
        if text:
            self.stdout.write(text)

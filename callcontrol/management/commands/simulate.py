import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from callcontrol.simulation import program
from callcontrol.simulation.knobs import BadKnob


class Command(BaseCommand):
    """Only the command line: the simulator itself knows neither Django nor our database."""

    help = program.DESCRIPTION
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        program.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            program.simulate(argparse.Namespace(**options))
        except BadKnob as error:
            raise CommandError(str(error), returncode=2) from error

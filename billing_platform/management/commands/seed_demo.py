from typing import Any

from django.core.management.base import CommandParser

from billing_platform.demo import SIZES, seed_all
from billing_platform.jobs import PlatformCommand, Run


class Command(PlatformCommand):
    help = "Make the demo tenant: people, a key, decks, accounts, calls. Running it again changes nothing."
    exclusive = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--size", choices=SIZES, default="small")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        demo = seed_all(seed=options["seed"], size=options["size"])
        run.items.append(demo.created)
        run.counts["created"] = len(demo.created)

from typing import Any

from django.core.management.base import CommandParser

from billing_platform.auth import Caller
from billing_platform.jobs import PlatformCommand, Run
from rating.copies import revert_deck
from rating.decks import Publication, load_version
from rating.proposals import ask_second_person

CALLER = Caller("command", "deck_revert")


class Command(PlatformCommand):
    help = "Publish a new version with the content of an older one; nothing is deleted."
    moves_money = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deck")
        parser.add_argument("--to", type=int, required=True, metavar="VERSION")
        parser.add_argument("--reason", default="")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        target = load_version(options["deck"], options["to"])
        run.counts["rows"] = target.row_count
        if run.dry_run:
            run.items.append({"deck": options["deck"], "content_of": target.number, "hash": target.content_hash})
            return
        publication = Publication(reason=options["reason"])
        receipt = revert_deck(options["deck"], to=options["to"], publication=publication, caller=CALLER)
        effective = receipt.effective_from.isoformat() if receipt.effective_from else None
        run.items.append({
            "deck": receipt.deck, "version": receipt.number, "effective_from": effective, "hash": receipt.content_hash,
        })  # fmt: skip
        ask_second_person(run, [receipt])

"""manage.py apikey: make, rotate and revoke the keys of programs."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_platform import clock
from billing_platform.auth import forget_keys, issue_key, rotate_key
from billing_platform.models import ApiKey, Scope


class Command(BaseCommand):
    """The secret is printed once, on stdout alone, so that it can go straight into a file."""

    help = (
        "Keys of programs.\n\n"
        "  manage.py apikey issue --name crm --organization acme --scope call:write --scope call:read\n"
        "  manage.py apikey issue --name web --scope counter:read --scope counter:use > secrets/counter_api_key\n"
        "  manage.py apikey rotate 3f2a --overlap-minutes 60\n"
        "  manage.py apikey revoke 3f2a\n"
        "  manage.py apikey list"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", choices=["issue", "rotate", "revoke", "list"])
        parser.add_argument("key_id", nargs="?", default="")
        parser.add_argument("--name", default="")
        parser.add_argument("--organization", default="", help="empty: a key of the platform itself")
        parser.add_argument("--scope", action="append", default=[], choices=[scope.value for scope in Scope])
        parser.add_argument("--overlap-minutes", type=int, default=60, help="how long the old secret stays valid")

    def handle(self, *_: Any, **options: Any) -> None:
        {"issue": self._issue, "rotate": self._rotate, "revoke": self._revoke, "list": self._list}[options["act"]](
            options
        )

    def _issue(self, options: dict[str, Any]) -> None:
        if not options["name"] or not options["scope"]:
            raise CommandError("issue needs --name and at least one --scope", returncode=2)
        self.stdout.write(
            issue_key(name=options["name"], organization=options["organization"], scopes=options["scope"])
        )

    def _rotate(self, options: dict[str, Any]) -> None:
        self._require_key(options["key_id"])
        self.stdout.write(rotate_key(options["key_id"], overlap=timedelta(minutes=options["overlap_minutes"])))

    def _revoke(self, options: dict[str, Any]) -> None:
        self._require_key(options["key_id"])
        ApiKey.objects.filter(key_id=options["key_id"]).update(revoked_at=clock.now())
        forget_keys()
        self.stderr.write("revoked; every process stops accepting it within 30 s")

    def _list(self, _: dict[str, Any]) -> None:
        for key in ApiKey.objects.order_by("name")[:1000]:
            state = "revoked" if key.revoked_at else "live"
            self.stdout.write(f"{key.key_id}\t{key.name}\t{key.organization or '-'}\t{','.join(key.scopes)}\t{state}")

    def _require_key(self, key_id: str) -> None:
        if not ApiKey.objects.filter(key_id=key_id).exists():
            raise CommandError(f"no key {key_id!r}; see: manage.py apikey list", returncode=2)

"""manage.py runcounter: the gRPC counter in the foreground, until SIGTERM."""

import json
import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from counter.grpc_server import serve
from counter.serving import settle_interpreter


class Command(BaseCommand):
    # Only what must never reach production: the others read every page of the web, and callers wait for a restart.
    requires_system_checks = [Tags.security]
    help = (
        "Run the gRPC counter.\n\n"
        "  manage.py runcounter\n"
        "  manage.py runcounter --bind 127.0.0.1:50051\n"
        "  manage.py runcounter --bind 127.0.0.1:0 --print-json    a free port, told as one JSON line"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bind", action="append", help="address to listen on; may be repeated (COUNTER_BIND)")
        parser.add_argument("--print-json", action="store_true", help="print the addresses as JSON when serving")

    def handle(self, *_: Any, **options: Any) -> None:
        addresses = options["bind"] or settings.COUNTER_BIND
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        settle_interpreter()
        try:
            running = serve(addresses)
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=2) from error
        bound = [f"{address.rpartition(':')[0]}:{port}" for address, port in zip(addresses, running.ports, strict=True)]
        if options["print_json"]:
            self.stdout.write(json.dumps({"address": bound[0], "addresses": bound, "pid": os.getpid()}))
        else:
            self.stderr.write(f"counter on {', '.join(bound)}")
        self.stdout.flush()
        stop.wait()
        running.stop()

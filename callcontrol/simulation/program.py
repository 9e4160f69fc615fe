import argparse
import json
import os
import signal
import sys
import threading
from typing import Final

from callcontrol.simulation import desk, generic
from callcontrol.simulation.courier import Courier
from callcontrol.simulation.exchange import Exchange
from callcontrol.simulation.knobs import BadKnob, Knobs
from callcontrol.simulation.reporting import Reporter
from callcontrol.simulation.server import PlatformServer
from callcontrol.simulation.timeline import Timeline

DESCRIPTION: Final = "Simulate a third party that the platform talks to, as a program of its own."

STOP_WITHIN_SECONDS: Final = 0.05

PLATFORM_EXAMPLES: Final = """\
examples:
  # calls in real time, hooks of a development server
  simulate platform --port 8090 --hook-base http://127.0.0.1:8000 \\
      --provider simulator --hook-token TOKEN --key KEY --secret SECRET
  # a free port, calls played 200 times faster, other dice
  simulate platform --port 0 --speed 200 --seed 7 --hook-base http://127.0.0.1:8000 ...
  # one push in five twice, one in twenty lost; then 40 s of talk for every call
  curl -X POST http://127.0.0.1:8090/sim/knobs -d '{"duplicate": 0.2, "loss": 0.05}'
  curl -X POST http://127.0.0.1:8090/sim/talk -d '{"seconds": 40}'
  # calls go on until they ring at the customer, and stay there until another state, or null, is named
  curl -X POST http://127.0.0.1:8090/sim/stay -d '{"state": "b_ringing"}'

The last four digits of the customer's number choose the scenario; /sim/ shows knobs and calls, /sim/calls the truth.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line, shared by `python -m` and the management command. What is simulated comes first."""
    simulated = parser.add_subparsers(dest="simulated", required=True, metavar="WHAT")
    platform = simulated.add_parser(
        "platform",
        help="callback platforms: take calls, play them, call the hooks",
        epilog=PLATFORM_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    platform.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    platform.add_argument("--port", type=int, default=8090, help="0 picks a free one (default: %(default)s)")
    platform.add_argument("--hook-base", default="http://127.0.0.1:8000", help="our site (default: %(default)s)")
    platform.add_argument("--public-base", help="its own address in recording links (default: http://HOST:PORT)")
    platform.add_argument("--provider", default="simulator", help="code of the provider row (default: %(default)s)")
    platform.add_argument("--hook-token", required=True, help="token in the address of the hooks")
    platform.add_argument("--key", required=True, help="key id, both ways")
    platform.add_argument("--secret", required=True, help="shared secret of the signatures, both ways")
    platform.add_argument("--speed", type=float, default=1.0, help="waits are this many times shorter")
    platform.add_argument("--seed", type=int, default=0, help="the dice behind the rates (default: %(default)s)")


def simulate(options: argparse.Namespace) -> int:
    """Run the chosen simulation until SIGTERM or Ctrl-C. Raises BadKnob on a speed or seed that cannot be."""
    knobs = Knobs().turned({"speed": options.speed, "seed": options.seed})
    timeline = Timeline(speed=knobs.speed)
    courier = Courier(timeline)
    exchange = Exchange(knobs, timeline=timeline, reporter=Reporter(timeline, courier=courier))
    server = PlatformServer((options.host, options.port))
    server.doors = {
        desk.PREFIX: desk.Desk(exchange, timeline=timeline),
        generic.PREFIX: generic.Generic(
            exchange,
            credentials=generic.Credentials(options.key, options.secret),
            hooks=f"{options.hook_base.rstrip('/')}/api/v1/providers/{options.provider}/{options.hook_token}",
            provider=options.provider,
            own_address=options.public_base or f"http://{options.host}:{server.server_port}",
        ),
    }
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopped.set())
    timeline.start()
    courier.start()
    threading.Thread(target=server.serve_forever, args=(STOP_WITHIN_SECONDS,), name="http", daemon=True).start()
    sys.stdout.write(json.dumps({"port": server.server_port, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    server.stopped.wait()
    server.shutdown()
    server.server_close()
    timeline.stop()
    courier.stop()
    return 0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="simulate", description=DESCRIPTION)
    add_arguments(parser)
    try:
        return simulate(parser.parse_args(argv))
    except BadKnob as error:
        parser.error(str(error))

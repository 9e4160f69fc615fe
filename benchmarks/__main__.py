"""python -m benchmarks [--only P1,P2a] [--rounds 3] [--seconds 10] [--tenants 10000]: run, check the books, report."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import django

from billing_platform.embedded import Servers

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="ids of cases, comma separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round")
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="billing-bench-") as directory,
        Servers(Path(directory), durable=True) as servers,
    ):
        os.environ |= {
            "DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url, "VAR_DIR": directory,
            "DJANGO_SETTINGS_MODULE": "billing_platform.settings", "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        django.setup()
        subprocess.run([sys.executable, "manage.py", "migrate", "--noinput", "-v", "0"], cwd=ROOT, check=True)
        from benchmarks.running import run_cases  # noqa: PLC0415  the models exist only after setup

        return run_cases(Path(directory), servers.database_url, options)


if __name__ == "__main__":
    sys.exit(main())

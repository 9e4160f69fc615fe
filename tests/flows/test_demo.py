"""`make demo` as a newcomer runs it: once, with everything that it starts."""

import os
import re
import subprocess
import sys

from tests.flows.live import ROOT

NOT_OURS = {"DATABASE_URL", "REDIS_URL", "VAR_DIR", "TEST_MODE"}


def test_the_demo_prints_one_call_from_the_click_to_the_ledger():
    environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS}

    ran = subprocess.run(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = [line.split(maxsplit=1) for line in ran.stdout.splitlines()]
    steps = list(dict.fromkeys(what for what, _text in told))
    assert steps == [
        "platform", "balance", "quote", "click", "hold", "event", "record", "charge", "price", "ledger", "invariant"
    ]  # fmt: skip
    assert [text for what, text in told if what == "record"] == ["18 s talked, cost 0.15 CNY"]
    assert [text for what, text in told if what == "balance"] == [
        "100.000000 CNY available", "99.850000 CNY available, 0.000000 held"
    ]  # fmt: skip
    assert {text.split()[-1] for what, text in told if what == "invariant"} == {"holds"}
    states = [re.split(r"\s+", text)[1] for what, text in told if what == "event"]
    assert states[:2] == ["created", "queued"]
    assert states[-1] == "ended"

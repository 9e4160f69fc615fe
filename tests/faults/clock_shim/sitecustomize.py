"""Shifts the wall clock of this process by FAULT_CLOCK_SHIFT_S seconds; monotonic time stays true.

Python imports it by itself where this directory is on PYTHONPATH.
"""

import os
import sys
import time

import grpc._channel
import time_machine


class _TrueTime:
    """For gRPC, whose core reads the clock below Python: on a machine that is wrong both are, by the same hours."""

    time = staticmethod(time_machine.escape_hatch.time.time)

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


if "FAULT_CLOCK_SHIFT_S" in os.environ:
    grpc._channel.time = _TrueTime()  # type: ignore[assignment, attr-defined]
    time_machine.travel(time.time() + float(os.environ["FAULT_CLOCK_SHIFT_S"]), tick=True).start()  # noqa: TID251
    sys.stderr.write(f"wall clock: {time.time():.0f}\n")  # noqa: TID251  what this process believes

"""Become another program, tied to the life of the process that asked for it. A script: nothing here imports Django.

  python -I -S tether.py SIGNAL PARENT_PID UID COMMAND [ARGUMENT ...]

The kernel sends SIGNAL to the program when its parent dies. UID -1 keeps the user. Between fork and exec no line of
ours may run: a library with threads of its own (gRPC) wakes up in that half process, finds its sockets closed and
aborts it. So the tie is made here, after the exec, and the program takes over this process and its number.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(stop_signal: int, parent_pid: int, uid: int, command: list[str]) -> None:
    """Never returns: it is `command` from here on, or ends with 1 and a word on stderr."""
    if uid != -1:  # before the tie: changing the user undoes it
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a signal that the parent blocks would be blocked here for ever
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_signal)
    if os.getppid() != parent_pid:  # it died before the kernel was told
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - our own programs, no shell
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])

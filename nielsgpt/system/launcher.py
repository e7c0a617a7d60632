"""Several processes on this machine: starts them, watches over them, and starts them again.

    environment of each: RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, as torchrun sets them, and
    NIELSGPT_MEETING, the address of a file in which they find each other: no port is opened for it

A process that dies ends its attempt; the next attempt resumes from the newest checkpoint. Killing
this process kills the others with it.
"""

import ctypes
import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nielsgpt.errors import RunError, SettingsError
from nielsgpt.system.signals import watch_stop_signals

log = logging.getLogger("nielsgpt")
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
RANK_VARIABLES = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
FINAL = (0, 2, 130, 143)  # done, something to put right, stopped: not tried again
FRUITLESS = 3  # attempts without a new checkpoint
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
GRACE_S = 20.0  # for the others to end, once one has
POLL_S = 0.05


def is_member() -> bool:
    """Whether this process is one of several, started by this file or by torchrun.

    What another launcher left behind in the environment, without an address to meet at, is named
    and ignored. Raises SettingsError where a rank is no number below its size.
    """
    found = [name for name in RANK_VARIABLES if name in os.environ]
    if not {"RANK", "WORLD_SIZE"} <= set(found):
        return False
    if not is_supervised() and not {"MASTER_ADDR", "MASTER_PORT"} <= set(found):
        log.warning("training alone: %s set but no MASTER_ADDR and MASTER_PORT", ", ".join(found))
        return False
    way_out = f"unset {' '.join(found)} to train alone, or start with torchrun"
    numbers = RANK_VARIABLES[:4] if is_supervised() else (*RANK_VARIABLES[:4], "MASTER_PORT")
    for name in numbers:
        if not os.environ.get(name, "0").isdecimal():
            raise SettingsError(f"{name} is {os.environ[name]!r}, not a number; {way_out}")
    for name, of in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        number, size = os.environ.get(name, "0"), os.environ.get(of)
        if size is not None and int(number) >= int(size):
            raise SettingsError(f"{name} is {number}, not below {of}, which is {size}; {way_out}")
    return True


def is_supervised() -> bool:
    """Whether this process is one of this file's making."""
    return "NIELSGPT_MEETING" in os.environ


def typed_command() -> list[str]:
    """The command that a person typed, of which this process may be a part."""
    whole = os.environ.get("NIELSGPT_TYPED")
    return ["nielsgpt", *sys.argv[1:]] if whole is None else shlex.split(whole)


def die_with_parent() -> None:
    """Let the system kill this process as soon as its parent is gone, or now if it is."""
    parent = int(os.environ.get("NIELSGPT_PARENT", os.getppid()))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def run(words: Sequence[str], count: int, newest: Callable[[], object]) -> int:
    """Run `nielsgpt words` in `count` processes to its end; returns the exit code.

    `newest()` names the newest checkpoint. Raises RunError after three attempts in a row that made
    no new one.
    """
    pause, fruitless = FIRST_PAUSE_S, 0
    with watch_stop_signals() as asked:
        while True:
            before = newest()
            code, why = _Attempt(words, count).run(asked)
            if asked:
                return code if code in FINAL[2:] else 128 + asked[0]
            if code in FINAL:
                if why:
                    log.error("%s", why)
                return code
            if newest() != before:
                pause, fruitless, words = FIRST_PAUSE_S, 0, is_resuming(words)
            else:
                fruitless += 1
            if fruitless == FRUITLESS:
                raise RunError(f"{why}; {FRUITLESS} attempts in a row made no new checkpoint")
            log.warning("%s; restarting from the newest checkpoint in %.0f s", why, pause)
            _pause(pause, asked)
            if asked:
                return 128 + asked[0]
            pause = min(2 * pause, LONGEST_PAUSE_S)


def is_resuming(words: Sequence[str]) -> list[str]:
    """The command without --resume PATH and --no-resume: it resumes from its own checkpoints."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not (skip or word == "--no-resume" or word.partition("=")[0] == "--resume"):
            kept.append(word)
        skip = word == "--resume"
    return kept


class _Attempt:
    """The processes of one attempt. The first one speaks; what the others say goes to a file."""

    def __init__(self, words: Sequence[str], count: int) -> None:
        self.words, self.count = words, count
        self.members: list[subprocess.Popen[bytes]] = []

    def run(self, asked: list[int]) -> tuple[int, str]:
        """The attempt's exit code, and why it ended where it was no good end."""
        with tempfile.TemporaryDirectory(prefix="nielsgpt-") as folder:
            self.folder = Path(folder)
            try:
                for rank in range(self.count):
                    self.members.append(self._start(rank))
                self._watch(asked)
            finally:
                killed = self._kill()
            return self._verdict(killed)

    def _start(self, rank: int) -> "subprocess.Popen[bytes]":
        # -P: a folder named cli where it is started is another one.
        words = [sys.executable, "-P", "-m", "cli", *self.words]
        with self._said(rank).open("wb") as said:
            return subprocess.Popen(
                words,
                env=os.environ | self._environment(rank),
                stdin=subprocess.DEVNULL,
                stdout=said if rank else None,
                stderr=said if rank else None,
                start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on
            )

    def _environment(self, rank: int) -> dict[str, str]:
        place, size = str(rank), str(self.count)
        own = {"RANK": place, "LOCAL_RANK": place, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        interface = os.environ.get("GLOO_SOCKET_IFNAME") or LOOPBACK.get(sys.platform)
        if interface:
            own["GLOO_SOCKET_IFNAME"] = interface
        own |= {"NIELSGPT_TYPED": shlex.join(typed_command()), "NIELSGPT_PARENT": str(os.getpid())}
        return {**own, "NIELSGPT_MEETING": (self.folder / "meeting").as_uri()}

    def _watch(self, asked: list[int]) -> None:
        """Return when all have ended, or some have and the others did not follow in time."""
        passed_on, deadline = 0, float("inf")
        while any(running := [m.poll() is None for m in self.members]):
            for number in asked[passed_on:]:
                passed_on += 1
                for member in self.members:
                    member.send_signal(number)
            if not all(running) or passed_on > 1:
                deadline = min(deadline, time.monotonic() + GRACE_S)
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_S)

    def _kill(self) -> set[int]:
        """End those who are still there; returns their ranks."""
        left = {rank for rank, member in enumerate(self.members) if member.poll() is None}
        for rank in left:
            self.members[rank].kill()
        for member in self.members:
            member.wait()
        return left

    def _verdict(self, killed: set[int]) -> tuple[int, str]:
        codes = {rank: m.returncode for rank, m in enumerate(self.members) if rank not in killed}
        dead = [rank for rank, code in codes.items() if code < 0]
        if dead:
            name = signal.Signals(-codes[dead[0]]).name
            return 1, f"process {dead[0]} of {self.count} was ended by {name}"
        leader = codes.get(0, 1)
        final = next((code for code in codes.values() if code in FINAL[1:]), None)
        if leader in FINAL:
            return leader, ""
        rank, code = next(((r, c) for r, c in codes.items() if r and c), (0, leader))
        lines = self._said(rank).read_text("utf-8", "replace").strip().splitlines()
        last = f" ({lines[-1].removeprefix('error: ')})" if lines else ""
        why = f"process {rank} of {self.count} ended with code {code}{last}"
        return (1 if final is None else final), why

    def _said(self, rank: int) -> Path:
        return self.folder / f"said-{rank}.txt"


def _pause(seconds: float, asked: list[int]) -> None:
    until = time.monotonic() + seconds
    while not asked and time.monotonic() < until:
        time.sleep(POLL_S)

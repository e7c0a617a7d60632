"""Text files, read whole or written whole: nobody ever sees half of one."""

import os
from contextlib import suppress
from pathlib import Path

from nielsgpt.micro.errors import MicroError


def read_text(path: Path, makes_it: str) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises MicroError that ends with `makes_it`, the way to have such a file, when it is missing.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MicroError(f"{path} is not there; {makes_it}") from None
    except UnicodeDecodeError as error:
        raise MicroError(
            f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02X}; "
            "save it as UTF-8"
        ) from None
    except OSError as error:
        raise MicroError(f"{path} cannot be read ({error.strerror}); {makes_it}") from None


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text beside its place, fsync it, and rename it.

    Raises MicroError where the folder may not be written or the disk is full.
    """
    beside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise MicroError(
            f"{path} cannot be written ({error.strerror}); free some space or make its folder "
            "writable, or work in another one by setting NIELSGPT_ROOT"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink()

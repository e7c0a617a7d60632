"""The command `nielsgpt`: a group, one file a command, the only place that knows exit codes."""

import errno
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from cli.remedy import complete

COMMANDS = {
    "new": "Start a model of your own: settings, persona, folders.",
    "pipeline": "Run all stages, from text to a tested chat model.",
    "tokenizer": "Train the tokenizer on the configured text.",
    "caches": "Tokenize the configured sources.",
    "pretrain": "Train the model on text.",
    "sft": "Teach the pretrained model to chat.",
    "exam": "Score the model on questions with known answers.",
    "chat": "Chat with the model.",
    "sample": "Continue a text.",
    "serve": "Serve an OpenAI-compatible API and a chat page.",
    "export": "Export the model for Transformers, llama.cpp and Ollama.",
    "hub": "Upload a model to the Hugging Face Hub, or download one.",
    "config": "Print the resolved configuration.",
    "primer": "Write dialogues generated from a persona's facts.",
    "sources": "List and check the sources of data.",
    "import": "Import books, notes, mails and chats.",
    "ancients": "Download ancient texts and list them.",
    "checkpoint": "Inspect a checkpoint.",
    "doctor": "Check that this machine trains correctly.",
    "runs": "List, show and compare training runs.",
    "bench": "Measure which models fit here and how fast they train.",
    "plan": "Choose model, batch size and learning rate for a time budget.",
    "recommend": "Choose model, batch size and learning rate by rule.",
    "micro": "Train a GPT written by hand in Python or NumPy.",
}

MODULES = {"import": "import_"}  # where the command's name is a word of Python
LONGEST_LINE = 1600
# What is wrong with a name that a person gave, and not with the disk.
UNUSABLE = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)
TALKING = {"chat", "sample", "serve"}


class Lazy(click.Group):
    """A group that imports a command's file only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"cli.{MODULES.get(cmd_name, cmd_name)}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nielsgpt")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def nielsgpt(words: list[str], debug: bool) -> None:
    """Train your own chat model from scratch, overnight, on the machine you have."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[_Stderr(words)])
    logging.getLogger("nielsgpt").setLevel(logging.INFO)


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever stderr is now, so that lines appear above a progress bar."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        logging.Handler.__init__(self)
        self.words = words

    @property
    def stream(self):  # type: ignore[no-untyped-def]
        return sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        """The message, in which the name of a file or a text may stand."""
        return _printable(complete(super().format(record), self.words), kept="\n\t")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 2 something to put right, 1 a
    failed run, 129, 130 or 143 stopped by a signal."""
    _open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    # No process that is started here imports from the current folder, nor draws on a screen.
    os.environ |= {"PYTHONSAFEPATH": "1", "MPLBACKEND": "agg"}
    # Threads that spin long at barriers lose nearly everything as soon as another program wants a
    # core; a reply is thousands of short products, and sleeping at each halves its speed
    # (docs/lab-log.md). Read when torch loads.
    if "OMP_WAIT_POLICY" not in os.environ:
        talks = not TALKING.isdisjoint(words[:1])
        os.environ.setdefault("GOMP_SPINCOUNT", "10000" if talks else "1000")
    try:
        # Not `nielsgpt.main`: it would end with 1 when a reader such as `head` has left.
        with nielsgpt.make_context("nielsgpt", [*words], obj=words) as context:
            nielsgpt.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        _say(f"error: {error.format_message().rstrip('.')}; see '{where or 'nielsgpt'} --help'")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (KeyboardInterrupt, click.Abort):
        _say("stopped; rerun the same command to resume")
        sys.exit(130)
    except Exception as error:
        _leave(error, words)


def _open_streams() -> None:
    """All three streams in UTF-8; what was closed leads nowhere, and no file takes its number."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What some programs write begins with a byte order mark.
            encoding = "utf-8-sig" if stream is sys.stdin else "utf-8"
            stream.reconfigure(encoding=encoding, errors="replace")


def _leave(error: Exception, words: Sequence[str]) -> None:
    from nielsgpt.errors import NielsError, Stopped, first_line

    if "--debug" in words:
        raise error
    if isinstance(error, NielsError):
        told = complete(str(error), words)
        _say(told if isinstance(error, Stopped) else f"error: {told}")
        sys.exit(error.exit_code)
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        _say(
            f"error: {error.filename} cannot be used ({error.strerror}); "
            "check the path and its permissions"
        )
        sys.exit(2)
    what = first_line(error)
    _say(f"error: {type(error).__name__}: {what}; 'nielsgpt --debug ...' shows where")
    sys.exit(1)


def _say(text: str) -> None:
    """One line, whatever names a person or a file gave: no control character reaches a terminal,
    and of a very long one the two ends are kept."""
    line = _printable(text)
    short = len(line) <= LONGEST_LINE
    with suppress(OSError):  # the terminal may be gone
        click.echo(line if short else f"{line[: LONGEST_LINE // 2]} ... {line[-400:]}", err=True)


def _printable(text: str, kept: str = "") -> str:
    """The text with its control characters spelled out, but for those that are kept."""
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )

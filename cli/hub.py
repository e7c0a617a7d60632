"""nielsgpt hub: upload a model to the Hugging Face Hub, or download one."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.model import with_model
from cli.options import PATH, with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace


@click.group("hub")
def command() -> None:
    """Upload a model to the Hugging Face Hub, or download one."""


@command.command("upload")
@click.argument("repository", metavar="OWNER/NAME")
@with_model("sft", argument=True)
@click.option(
    "--gguf", type=click.Choice(["f32", "f16", "q8_0"]), help="Add a GGUF file for llama.cpp."
)
@click.option("--license", "licence", help="License, by the Hub's name for it, such as mit.")
@click.option("--public", is_flag=True, help="Make a new repository public; by default private.")
@click.option("--dry-run", is_flag=True, help="List the files without contacting the Hub.")
def upload(
    workspace: "Workspace",
    repository: str,
    ckpt: Path | None,
    gguf: str | None,
    licence: str | None,
    public: bool,
    dry_run: bool,
) -> None:
    """Upload the model, its tokenizer and its card in one commit, without the optimizer state.

    Files with an unchanged hash are not uploaded again.
    """
    from tempfile import TemporaryDirectory

    from nielsgpt.export import hub_upload
    from nielsgpt.export.trained import open_trained
    from nielsgpt.format import align_columns, format_bytes

    hub_upload.check_names(repository, licence)
    trained = open_trained(workspace, ckpt)
    with TemporaryDirectory(prefix="nielsgpt-") as folder:
        files = hub_upload.write_files(trained, repository, Path(folder) / "model", gguf, licence)
        sizes = {path.name: format_bytes(path.stat().st_size) for path in files}
        if dry_run:
            kind = "public" if public else "private"
            click.echo(align_columns([["file", "size"], *map(list, sizes.items())]))
            click.echo(
                f"would upload to {repository}, created as a {kind} model if it does not exist"
            )
            return
        done = hub_upload.upload(repository, files, public)
    for name, shown in sizes.items():
        click.echo(f"{'sent' if name in done.sent else 'same'}  {name}  {shown}")
    if done.others:
        click.echo(f"left as they are: {', '.join(done.others)}", err=True)
    click.echo(f"{done.url} ({'private' if done.private else 'public'})")


@command.command("download")
@with_workspace
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--revision", help="Branch, tag or commit; by default the newest.")
@click.option("--out", type=PATH, help="Output folder; by default models/<name>/hub.")
@click.option("--force", is_flag=True, help="Replace a download from another repository.")
def download(
    workspace: "Workspace", repository: str, revision: str | None, out: Path | None, force: bool
) -> None:
    """Download a model. A model made by nielsgpt becomes a checkpoint that chat can open.

    Only weights, configurations, tokenizers and cards are downloaded, and no code is run.
    """
    from nielsgpt.export import hub_download
    from nielsgpt.export.hub_repository import check_name
    from nielsgpt.format import format_bytes

    check_name(repository)
    place = out or workspace.root / "models" / repository.split("/")[1] / "hub"
    done = hub_download.download(repository, revision, place, force)
    what = "is here already" if done.was_complete else "fetched"
    count = f"{len(done.files)} files, {format_bytes(done.size)}"
    click.echo(f"{repository} at {done.commit[:12]}: {what}, {count}, in {done.folder}")
    if done.skipped:
        click.echo(f"left there: {', '.join(done.skipped)}", err=True)
    if done.checkpoint is None:
        click.echo("not made by nielsgpt: open it with Transformers or llama.cpp")
    else:
        click.echo(f"chat with it: nielsgpt chat --ckpt {done.checkpoint}")

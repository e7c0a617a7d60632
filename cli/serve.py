"""nielsgpt serve."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.model import with_model
from cli.options import PATH, resettled

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace

MANY = 16  # replies at once, for which the form of the weights is chosen


@click.command("serve")
@with_model("sft")
@click.option("--host", help="Address to listen on (serve.host).")
@click.option("--port", type=int, help="Port (serve.port); 0 takes any free one.")
@click.option("--api-key-file", type=PATH, help="File with the API key that clients must send.")
@click.option("--insecure", is_flag=True, help="Allow other machines to connect without a key.")
def command(
    workspace: "Workspace",
    ckpt: Path | None,
    host: str | None,
    port: int | None,
    api_key_file: Path | None,
    insecure: bool,
) -> None:
    """Serve the model until Ctrl-C: an OpenAI-compatible API and a chat page.

    The API key can also be set in the environment variable NIELSGPT_API_KEY.
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    workspace = resettled(workspace, {"serve": given})
    from nielsgpt.serve import server

    settings = workspace.settings.serve
    key = server.read_key(api_key_file, os.environ.get(server.KEY_VARIABLE))
    listener = server.bind(settings, key, insecure)
    with listener:
        from nielsgpt.inference.open_model import open_model
        from nielsgpt.serve.prepare import ServedModel

        opened = open_model(workspace, ckpt, rows=min(settings.streams, MANY))
        served = ServedModel.create(
            opened.name,
            f"fp_{opened.weights_sha256[:12]}",
            opened.model.context_length,
            opened.tokenizer,
            workspace.settings.generation,
        )
        engine = server.build_engine(opened.model, served, settings)
        running = server.Server(engine, served, settings, key)
        click.echo(f"{opened.line} at {server.format_url(listener, settings.host)}", err=True)
        running.serve_until_stopped(listener)

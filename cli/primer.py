"""nielsgpt primer."""

from pathlib import Path

import click

from cli.options import PATH, HomePath


@click.command("primer")
@click.option(
    "--n-per-category",
    default=30,
    show_default=True,
    type=click.IntRange(1),
    help="Dialogues per category.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--shuffle", is_flag=True, help="Shuffle the categories.")
@click.option(
    "--out", type=PATH, default="data/primer.generated.txt", show_default=True, help="Output file."
)
@click.option(
    "--persona",
    type=HomePath(),
    default="personas/niels.json",
    show_default=True,
    help="Persona file.",
)
def command(n_per_category: int, seed: int, shuffle: bool, out: Path, persona: str) -> None:
    """Write dialogues generated from a persona's facts to a file."""
    from nielsgpt.data.primer import dialogues
    from nielsgpt.data.primer.persona import load_persona
    from nielsgpt.system.atomic_files import write_text

    known = load_persona(persona, Path())
    told = dialogues.category_dialogues(known, seed, n_per_category, shuffle)
    write_text(out, dialogues.as_text(told))
    click.echo(f"wrote {len(told)} dialogues to {out}")

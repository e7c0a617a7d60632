"""nielsgpt primer."""

from pathlib import Path

import click


@click.command("primer")
@click.option("--n-per-category", default=30, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--shuffle", is_flag=True, help="Mix the categories.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="data/primer.generated.txt", show_default=True
)
def command(n_per_category: int, seed: int, shuffle: bool, out: Path) -> None:
    """Write dialogues of the seven categories, invented from data/public_facts.json."""
    from nielsgpt.data.primer import dialogues, facts
    from nielsgpt.system.atomic_files import write_text

    known = facts.load_facts(facts.FACTS_PATH)
    told = dialogues.category_dialogues(known, seed, n_per_category, shuffle)
    write_text(out, dialogues.as_text(told))
    click.echo(f"wrote {len(told)} dialogues to {out}")

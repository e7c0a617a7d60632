"""The planner of a workspace whose caches are built."""

from nielsgpt.data import availability
from nielsgpt.data.cache import shards
from nielsgpt.experiments import worker
from nielsgpt.experiments.data_budget import DataBudget
from nielsgpt.experiments.execution import execution_of_shape
from nielsgpt.experiments.plan import Planner
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.throughput import Throughput
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.assemble import split_identity


def open_planner(workspace: Workspace, tokenizer: Tokenizer) -> Planner:
    """The planner of a workspace and its tokenizer; results are kept in bench/."""
    workspace = availability.drop_uncached(workspace, "pretrain")
    folder, mix = workspace.splits("pretrain"), workspace.settings.data.mix_pretrain
    metas = {name: shards.read_meta(folder, f"{name}_train") or {} for name in mix}
    splits = [f"{name}_{split}" for name in sorted(mix) for split in shards.SPLITS]
    data = fingerprint(tokenizer.fingerprint, [split_identity(folder, split) for split in splits])
    results, size = workspace.root / "bench", tokenizer.vocab_size
    return Planner(
        workspace.settings,
        str(workspace.root.resolve()),
        DataBudget({name: int(meta["tokens"]) for name, meta in metas.items()}, mix),
        data,
        Throughput(
            workspace.settings,
            size,
            lambda candidate: execution_of_shape(
                workspace, candidate.shape, candidate.batch_size, size
            ),
            ResultsStore(results / "speeds.jsonl", worker.run_job),
        ),
        ResultsStore(results / "pilots.jsonl", worker.run_job),
    )

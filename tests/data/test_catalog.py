"""Sources by name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.data.catalog import choose_system_line, find_sources, source_fingerprint
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.errors import SettingsError

Tiny = Callable[..., Settings]


def test_an_unknown_source_is_named_with_the_nearest(tiny: Tiny, root: Path) -> None:
    settings = tiny(data={"mix_sft": {"chatt": 1.0}})
    with pytest.raises(SettingsError, match="unknown source 'chatt'; did you mean chat"):
        find_sources(settings, "sft", root)


def test_the_identity_changes_with_what_decides_the_samples(tiny: Tiny, root: Path) -> None:
    def of(settings: Settings) -> str:
        return source_fingerprint(find_sources(settings, "sft", root)["primer"], "sft", settings)

    assert of(tiny()) == of(tiny(training={"sft": {"max_steps": 9}}))
    assert of(tiny()) != of(tiny(seed=7))
    assert of(tiny()) != of(tiny(model={"context_length": 64}))
    assert of(tiny()) != of(tiny(data={"primer": {"dialogues": 4}}))


def test_the_primer_is_as_large_as_asked_and_never_repeats_a_document(
    tiny: Tiny, root: Path
) -> None:
    settings = tiny(data={"primer": {"characters": 500_000, "dialogues": 700}})
    told = [item.text for item in find_sources(settings, "pretrain", root)["primer"].walk()]
    assert 500_000 <= sum(map(len, told)) < 502_000
    assert len(set(told)) == len(told)
    assert len(list(find_sources(settings, "sft", root)["primer"].walk())) == 700


def test_only_a_model_trained_with_the_primer_gets_its_system_line(tiny: Tiny, root: Path) -> None:
    assert choose_system_line(tiny(), root) == load_persona("personas/niels.json", root).system
    assert choose_system_line(tiny(data={"mix_sft": {"chat": 1.0}}), root) == ""

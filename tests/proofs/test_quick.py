"""A compiled row says what one that is not compiled says, past several growths of its cache."""

import pytest

from nielsgpt import compiler
from nielsgpt.inference import quick, weights
from nielsgpt.inference.batcher import Batcher, Request
from nielsgpt.inference.generate import stream
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.settings import GenerationSettings, ModelSettings
from tests.lively import lively

pytestmark = pytest.mark.slow


def made(variant: str) -> GPT:
    shape = ModelSettings(
        variant=variant, n_layer=2, n_head=2, n_embd=64, context_length=160, tied=False
    )
    return lively(GPT(shape, 97).eval(), std=0.3, seed=3)


@pytest.mark.parametrize(("variant", "form"), [("gpt", "float32"), ("gpt_qk", "float32")])
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_row_says_the_same_across_a_slide(variant: str, form: weights.Form) -> None:
    if not compiler.can_compile("cpu"):
        pytest.skip("torch.compile finds no compiler here")
    model = weights.put(made(variant), form)
    sampling = GenerationSettings(max_new_tokens=220, temperature=1.0)

    def said() -> list[int]:
        asked = Request((5, 6, 7), sampling, generator_for(0))
        return list(stream(Batcher(model, 1), asked))

    plain = said()
    model.step = quick.compiled(model)
    assert said() == plain
    assert len(set(plain)) > 20

"""A compiled row says what one that is not compiled says, past several growths of its cache."""

import pytest

from nielsgpt.config.settings import GenerationSettings, ModelSettings
from nielsgpt.inference import compiled_decode, quantize
from nielsgpt.inference.batcher import Batcher, GenerationRequest
from nielsgpt.inference.generate import stream_ids
from nielsgpt.inference.sampling import make_generator
from nielsgpt.model.gpt import GPT
from nielsgpt.system import compile_cache
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
def test_a_compiled_row_says_the_same_across_a_slide(
    variant: str, form: quantize.WeightFormat
) -> None:
    if not compile_cache.can_compile("cpu"):
        pytest.skip("torch.compile finds no compiler here")
    model = quantize.convert_weights(made(variant), form)
    sampling = GenerationSettings(max_new_tokens=220, temperature=1.0)

    def said() -> list[int]:
        asked = GenerationRequest((5, 6, 7), sampling, make_generator(0))
        return list(stream_ids(Batcher(model, 1), asked))

    plain = said()
    model.step = compiled_decode.compile_decode(model)
    assert said() == plain
    assert len(set(plain)) > 20

"""A compiled row says what one that is not compiled says, past several growths of its cache."""

import pytest
import torch

from nielsgpt import device
from nielsgpt.inference import quick, weights
from nielsgpt.inference.batcher import Batcher, Request
from nielsgpt.inference.generate import stream
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.settings import GenerationSettings, ModelSettings

pytestmark = pytest.mark.slow


def made(variant: str) -> GPT:
    shape = ModelSettings(
        variant=variant, n_layer=2, n_head=2, n_embd=64, context_length=160, tied=False
    )
    model = GPT(shape, 97).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_norm = "norm" in name and name.endswith("weight")
            weight.normal_(1.0 if is_norm else 0.0, 0.3, generator=generator)
    return model


@pytest.mark.parametrize(("variant", "form"), [("gpt", "float32"), ("gpt_qk", "float32")])
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_row_says_the_same_across_a_slide(variant: str, form: weights.Form) -> None:
    if not device.can_compile("cpu"):
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

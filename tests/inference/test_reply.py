from collections.abc import Callable, Generator

import pytest

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.generate import FinishReason, generate
from nielsgpt.inference.reply import continue_text, reply_text
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.byte import ByteTokenizer

MakeModel = Callable[..., GPT]
BYTES = ByteTokenizer()
SAMPLED = GenerationSettings(max_new_tokens=30, temperature=1.5, top_k=0)


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_spoken_returns_the_reason_of_the_ids(reason: FinishReason) -> None:
    def ids() -> Generator[int, None, FinishReason]:
        yield from BYTES.encode("né")
        return reason

    text = reply_text(ids(), Detokenizer(BYTES))
    assert [next(text), next(text)] == ["n", "é"]
    with pytest.raises(StopIteration) as end:
        next(text)
    assert end.value.value == reason


def test_spoken_ends_the_ids_when_a_stop_string_comes() -> None:
    ended = []

    def ids() -> Generator[int, None, FinishReason]:
        try:
            yield from BYTES.encode("a.b.c")
        finally:
            ended.append(True)
        return "length"

    def collect() -> Generator[str, None, None]:
        reasons.append((yield from reply_text(source, Detokenizer(BYTES, ["."]))))

    source = ids()
    reasons: list[FinishReason] = []
    assert "".join(collect()) == "a"
    assert (reasons, ended) == (["stop"], [True])


def test_a_continuation_is_the_text_of_the_ids_after_an_end_token(make_model: MakeModel) -> None:
    model = make_model()
    roles = (256, 257, 258)
    ids = list(
        generate(
            model,
            [259, *b"The keeper"],
            SAMPLED,
            stop_ids=(259,),
            banned_ids=roles,
            generator=generator_for(42, 1),
        )
    )
    assert "".join(continue_text(model, BYTES, "The keeper", SAMPLED, 1)) == BYTES.decode(ids)


def test_an_empty_prompt_begins_a_document(make_model: MakeModel) -> None:
    texts = ["".join(continue_text(make_model(), BYTES, "", SAMPLED, index)) for index in range(3)]
    assert len(set(texts)) == 3
    assert all(texts)

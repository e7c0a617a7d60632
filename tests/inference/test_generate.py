from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.errors import RunError
from nielsgpt.inference.batcher import FinishReason
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.generate import (
    GeneratedIds,
    generate,
    generate_all,
    stream_continuation,
    stream_text,
)
from nielsgpt.inference.sampling import make_generator
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.byte import ByteTokenizer

MakeModel = Callable[..., GPT]
GREEDY = GenerationSettings(temperature=0.0, max_new_tokens=40)
SAMPLED = GenerationSettings(temperature=1.5, top_k=200, max_new_tokens=40)
HOT = GenerationSettings(temperature=1.5, top_k=0, max_new_tokens=30)
BYTES = ByteTokenizer()


def collect(ids: Generator[int, None, Any]) -> GeneratedIds:
    new = []
    while True:
        try:
            new.append(next(ids))
        except StopIteration as end:
            return GeneratedIds(new, end.value)


def test_max_new_tokens_ids_are_generated(make_model: MakeModel) -> None:
    completion = collect(generate(make_model(), [1, 2, 3], SAMPLED, stop_ids=()))
    assert len(completion.ids) == 40
    assert completion.finish_reason == "length"


def test_an_end_id_ends_the_reply_and_is_not_part_of_it(make_model: MakeModel) -> None:
    free = collect(generate(make_model(), [1, 2, 3], SAMPLED, stop_ids=()))
    end = free.ids[20]
    stopped = collect(generate(make_model(), [1, 2, 3], SAMPLED, stop_ids=(end,)))
    assert stopped == GeneratedIds(free.ids[: free.ids.index(end)], "stop")


def test_a_banned_id_never_comes(make_model: MakeModel) -> None:
    free = collect(generate(make_model(), [5], GREEDY, stop_ids=()))
    banned = sorted(set(free.ids))
    assert not set(banned) & set(
        collect(generate(make_model(), [5], GREEDY, stop_ids=(), banned_ids=banned)).ids
    )


def test_the_seed_decides_the_ids(make_model: MakeModel) -> None:
    def ids(seed: int) -> list[int]:
        changed = SAMPLED.model_copy(update={"seed": seed})
        return list(generate(make_model(), [9, 8], changed, stop_ids=()))

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_penalty_makes_a_reply_repeat_itself_less(make_model: MakeModel) -> None:
    def distinct(**values: float) -> int:
        changed = GREEDY.model_copy(update=values)
        return len(set(generate(make_model(seed=3), [7, 7, 7], changed, stop_ids=())))

    assert distinct(repetition_penalty=50.0) == 40
    assert distinct() < 40
    windowed = distinct(repetition_penalty=50.0, repetition_window=2)
    assert 3 <= windowed < 40


def test_a_penalty_on_all_ids_spares_the_end_id(make_model: MakeModel) -> None:
    every_id = list(range(260))
    penalised = GREEDY.model_copy(update={"repetition_penalty": 10.0})
    likeliest = next(generate(make_model(), every_id, GREEDY, stop_ids=()))
    end = next(generate(make_model(), every_id, GREEDY, stop_ids=(), banned_ids=[likeliest]))
    assert collect(generate(make_model(), every_id, penalised, stop_ids=[end])).ids == []
    assert next(generate(make_model(), every_id, penalised, stop_ids=[])) == likeliest


def test_a_prompt_longer_than_the_context_keeps_its_newest_ids(make_model: MakeModel) -> None:
    long = [index * 37 % 256 for index in range(150)]
    model = make_model(context_length=64)
    one = GREEDY.model_copy(update={"max_new_tokens": 30})
    assert list(generate(model, long, one, stop_ids=())) == list(
        generate(model, long[-64:], one, stop_ids=())
    )


def test_the_model_is_left_in_the_mode_it_had(make_model: MakeModel) -> None:
    model = make_model().train()
    ids = generate(model, [1], GREEDY, stop_ids=())
    next(ids)
    assert not model.training
    ids.close()
    assert model.training
    generate_all(model.eval(), [[1]], GREEDY, stop_ids=())
    assert not model.training


def test_a_model_can_be_trained_after_generating(make_model: MakeModel) -> None:
    model = make_model()
    generate_all(model, [[1, 2]], GREEDY, stop_ids=())
    model(torch.tensor([[1, 2, 3]])).sum().backward()
    assert model.embedding.weight.grad is not None


def test_damaged_weights_are_an_error(make_model: MakeModel) -> None:
    model = make_model()
    with torch.no_grad():
        model.norm.weight[0] = torch.nan
    with pytest.raises(RunError, match="not finite"):
        next(generate(model, [1], GREEDY, stop_ids=()))


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("rows_at_once", [1, 3, 64])
def test_a_batch_gives_the_ids_of_its_prompts_one_by_one(
    make_model: MakeModel, sampling: GenerationSettings, rows_at_once: int
) -> None:
    model = make_model(context_length=32, seed=5)
    prompts = [[(7 * i + j * j) % 256 for j in range(2 + i % 3)] for i in range(17)]
    stop_ids = tuple(range(0, 250, 25))
    penalised = sampling.model_copy(update={"repetition_penalty": 1.3, "repetition_window": 9})
    alone = [
        collect(
            generate(
                model,
                prompt,
                penalised,
                stop_ids=stop_ids,
                banned_ids=(256, 257),
                generator=make_generator(penalised.seed, index),
            )
        )
        for index, prompt in enumerate(prompts)
    ]
    together = generate_all(
        model,
        prompts,
        penalised,
        stop_ids=stop_ids,
        banned_ids=(256, 257),
        rows_at_once=rows_at_once,
    )
    assert together == alone
    lengths = {len(completion.ids) for completion in alone}
    assert len(lengths) > 3, "rows end at different times"
    assert {completion.finish_reason for completion in alone} == {"stop", "length"}


def test_rows_that_have_ended_are_no_longer_computed(make_model: MakeModel) -> None:
    model, rows = make_model(seed=5), list[int]()
    model.embedding.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].size(0)))
    prompts = [[7 * i, i] for i in range(16)]
    done = generate_all(model, prompts, SAMPLED, stop_ids=range(0, 250, 10))
    speaking = [sum(len(c.ids) >= step for c in done) for step in range(len(rows))]
    assert rows[0] == 16
    assert rows[-1] < 16
    assert all(now <= computed < 2 * now for now, computed in zip(speaking, rows, strict=True))


def test_equal_prompts_in_a_batch_draw_different_ids(make_model: MakeModel) -> None:
    first, second = generate_all(make_model(), [[1, 2], [1, 2]], SAMPLED, stop_ids=())
    assert first.ids != second.ids


def test_no_prompts_give_no_completions(make_model: MakeModel) -> None:
    assert generate_all(make_model(), [], GREEDY, stop_ids=()) == []


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_streamed_text_returns_the_finish_reason_of_the_ids(reason: FinishReason) -> None:
    def ids() -> Generator[int, None, FinishReason]:
        yield from BYTES.encode("né")
        return reason

    text = stream_text(ids(), Detokenizer(BYTES))
    assert [next(text), next(text)] == ["n", "é"]
    with pytest.raises(StopIteration) as end:
        next(text)
    assert end.value.value == reason


def test_a_stop_string_closes_the_stream_of_ids() -> None:
    closed = []

    def ids() -> Generator[int, None, FinishReason]:
        try:
            yield from BYTES.encode("a.b.c")
        finally:
            closed.append(True)
        return "length"

    def read() -> Generator[str, None, None]:
        reasons.append((yield from stream_text(source, Detokenizer(BYTES, ["."]))))

    source = ids()
    reasons: list[FinishReason] = []
    assert "".join(read()) == "a"
    assert (reasons, closed) == (["stop"], [True])


def test_a_continuation_is_the_text_of_the_ids_after_an_end_token(make_model: MakeModel) -> None:
    model = make_model()
    roles = (256, 257, 258)
    ids = list(
        generate(
            model,
            [259, *b"The keeper"],
            HOT,
            stop_ids=(259,),
            banned_ids=roles,
            generator=make_generator(42, 1),
        )
    )
    assert "".join(stream_continuation(model, BYTES, "The keeper", HOT, 1)) == BYTES.decode(ids)


def test_an_empty_prompt_begins_a_document(make_model: MakeModel) -> None:
    texts = [
        "".join(stream_continuation(make_model(), BYTES, "", HOT, index)) for index in range(3)
    ]
    assert len(set(texts)) == 3
    assert all(texts)

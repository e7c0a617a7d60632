from collections.abc import Callable, Iterable

import pytest
import torch

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.errors import RunError
from nielsgpt.inference.batcher import Batcher, GenerationRequest, SampledToken
from nielsgpt.inference.generate import generate, stream
from nielsgpt.inference.logprobs import prompt_logprobs
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT

MakeModel = Callable[..., GPT]
ROLES = (256, 257, 258)
END = (17, 65, 139, 230)


def request(index: int, **values: float) -> GenerationRequest:
    """The index-th of many that differ in everything that can differ."""
    manners: tuple[dict[str, float], ...] = (
        {"temperature": 0.0},
        {"temperature": 1.5, "top_k": 0},
        {"temperature": 1.2, "top_k": 40, "top_p": 0.9},
        {"temperature": 2.0, "repetition_penalty": 1.3, "repetition_window": 9},
        {"temperature": 0.8, "min_p": 0.02, "repetition_penalty": 2.0},
    )
    chosen = {**manners[index % 5], "max_new_tokens": 5 + 13 * index % 90, **values}
    prompt = tuple((7 * index + 3 * i) % 256 for i in range(1 + 11 * index % 70))
    return GenerationRequest(
        prompt, GenerationSettings(**chosen), generator_for(5, index), END, ROLES
    )


def alone(model: GPT, index: int) -> tuple[list[int], str]:
    """What the index-th request says when nobody else talks."""
    asked, ids = request(index), []
    source = generate(
        model,
        asked.prompt_ids,
        asked.sampling,
        stop_ids=END,
        banned_ids=ROLES,
        generator=asked.generator,
    )
    while True:
        try:
            ids.append(next(source))
        except StopIteration as end:
            return ids, end.value


def gathered(drawn: Iterable[SampledToken], into: dict[int, tuple[list[int], str]]) -> None:
    for one in drawn:
        ids, _ = into.setdefault(one.row, ([], ""))
        if one.token is not None:
            ids.append(one.token)
        if one.finish:
            into[one.row] = ids, one.finish


def test_rows_that_come_and_go_say_what_they_would_say_alone(make_model: MakeModel) -> None:
    model, said = make_model(context_length=32), dict[int, tuple[list[int], str]]()
    batch, rows, left = Batcher(model, 6), dict[int, int](), list(range(24))
    steps = 0
    while left or batch.free < 6:
        if left and batch.free and steps % 3 == 0:  # others are in the middle of theirs
            index = left.pop(0)
            rows[batch.join(request(index))] = index
        gathered(batch.step(), said)
        steps += 1
    assert {rows[row]: heard for row, heard in said.items()} == {
        index: alone(make_model(context_length=32), index) for index in range(24)
    }
    assert {reason for _, reason in said.values()} == {"stop", "length"}
    assert any(len(ids) > 32 for ids, _ in said.values()), "a window slid"


def test_a_row_that_leaves_is_heard_no_more_and_its_place_is_free(make_model: MakeModel) -> None:
    batch = Batcher(make_model(), 2)
    stays, goes = batch.join(request(1)), batch.join(request(2))
    assert batch.free == 0
    assert {drawn.row for drawn in batch.step()} == {stays, goes}
    batch.leave(goes)
    assert batch.free == 1
    assert {drawn.row for drawn in batch.step()} == {stays}
    never = batch.join(request(3))
    batch.leave(never)
    batch.leave(never)
    assert {drawn.row for drawn in batch.step()} == {stays}


def test_an_empty_batch_draws_nothing(make_model: MakeModel) -> None:
    assert Batcher(make_model(), 2).step() == []


def test_a_full_batch_takes_nobody(make_model: MakeModel) -> None:
    batch = Batcher(make_model(), 1)
    batch.join(request(1))
    with pytest.raises(AssertionError, match="the batch is full"):
        batch.join(request(2))


def counted(model: GPT) -> list[tuple[int, int]]:
    """(rows, ids) of every reading from now on."""
    read: list[tuple[int, int]] = []
    model.embedding.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].shape))
    return read


def test_the_next_turn_of_a_chat_reads_only_what_is_new(make_model: MakeModel) -> None:
    model, batch = make_model(), Batcher(make_model(), 1)
    batch._model = model
    first = request(1, max_new_tokens=6)
    said = list(stream(batch, first))
    second = [*first.prompt_ids, *said, 8, 9]
    read = counted(model)
    manner = GenerationSettings(temperature=0.0, max_new_tokens=8)
    heard = list(stream(batch, GenerationRequest(tuple(second), manner, generator_for(0))))
    assert read[0] == (1, 3), "the last drawn id and the two new ones"
    assert heard == list(generate(make_model(), second, manner, stop_ids=()))


def test_of_several_chats_each_finds_its_own_again(make_model: MakeModel) -> None:
    model = make_model()
    batch, manner = Batcher(model, 3), GenerationSettings(temperature=0.0, max_new_tokens=4)
    chats = [[10 * index + i for i in range(20)] for index in range(3)]
    for chat in chats:
        chat += list(stream(batch, GenerationRequest(tuple(chat), manner, generator_for(0))))
    read = counted(model)
    for chat in (chats[1], chats[2], chats[0]):
        list(stream(batch, GenerationRequest((*chat, 5), manner, generator_for(0))))
    assert [ids for _, ids in read if ids > 1] == [2, 2, 2]


def test_the_place_of_the_one_that_left_first_is_taken(make_model: MakeModel) -> None:
    model = make_model()
    batch, manner = Batcher(model, 2), GenerationSettings(temperature=0.0, max_new_tokens=2)
    old, recent, other = ([start] * 20 for start in (3, 4, 5))
    for prompt in (old, recent, other):
        list(stream(batch, GenerationRequest(tuple(prompt), manner, generator_for(0))))
    read = counted(model)
    list(stream(batch, GenerationRequest((*recent, 9), manner, generator_for(0))))
    assert read[0] == (1, 1)
    list(stream(batch, GenerationRequest((*old, 9), manner, generator_for(0))))
    assert (1, 21) in read


def test_prompts_of_one_length_are_read_together(make_model: MakeModel) -> None:
    model, read = make_model(), []
    read = counted(model)
    batch = Batcher(model, 4)
    for prompt in ((1, 2, 3), (4, 5, 6), (7, 8)):
        batch.join(GenerationRequest(prompt, GenerationSettings(), generator_for(0)))
    batch.step()
    assert read == [(2, 3), (1, 2)]


def test_log_probabilities_are_the_models_own(make_model: MakeModel) -> None:
    model = make_model()
    manner = GenerationSettings(temperature=0.3, top_k=3, repetition_penalty=1.5, max_new_tokens=9)
    asked = GenerationRequest((1, 2, 3), manner, generator_for(1), banned_ids=ROLES, logprobs=4)
    batch, drawn = Batcher(model, 1), []
    batch.join(asked)
    while batch.free == 0:
        drawn += batch.step()
    ids = [one.token for one in drawn if one.token is not None]
    scored = prompt_logprobs(model, [1, 2, 3, *ids], 4)
    assert scored[0] == (None, ())
    for one, (logprob, top) in zip(drawn, scored[3:], strict=True):
        assert one.logprob == pytest.approx(logprob, abs=1e-4)
        assert [token for token, _ in one.top] == [token for token, _ in top]


def test_a_training_model_draws_without_dropout_and_goes_on_training(
    make_model: MakeModel,
) -> None:
    model = make_model().train()
    batch = Batcher(model, 1)
    batch.join(request(1))
    batch.step()
    assert model.training


def test_damaged_weights_are_an_error(make_model: MakeModel) -> None:
    model = make_model()
    with torch.no_grad():
        model.embedding.weight[3] = torch.nan
    batch = Batcher(model, 2)
    batch.join(GenerationRequest((1,), GenerationSettings(), generator_for(0)))
    batch.step()
    batch.join(GenerationRequest((3,), GenerationSettings(), generator_for(0)))
    with pytest.raises(RunError, match="the model's logits are not finite"):
        batch.step()

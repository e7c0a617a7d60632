from collections.abc import Callable, Iterable

import pytest
import torch

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.errors import RunError
from nielsgpt.inference.batcher import Batcher, GenerationRequest, SampledToken
from nielsgpt.inference.generate import compute_logprobs, generate, stream_ids
from nielsgpt.inference.sampling import make_generator
from nielsgpt.model.gpt import GPT

MakeModel = Callable[..., GPT]
ROLES = (256, 257, 258)
END = (17, 65, 139, 230)


def request(index: int, **values: float) -> GenerationRequest:
    """The index-th of many that differ in everything that can differ."""
    variants: tuple[dict[str, float], ...] = (
        {"temperature": 0.0},
        {"temperature": 1.5, "top_k": 0},
        {"temperature": 1.2, "top_k": 40, "top_p": 0.9},
        {"temperature": 2.0, "repetition_penalty": 1.3, "repetition_window": 9},
        {"temperature": 0.8, "min_p": 0.02, "repetition_penalty": 2.0},
    )
    chosen = {**variants[index % 5], "max_new_tokens": 5 + 13 * index % 90, **values}
    prompt = tuple((7 * index + 3 * i) % 256 for i in range(1 + 11 * index % 70))
    return GenerationRequest(
        prompt, GenerationSettings(**chosen), make_generator(5, index), END, ROLES
    )


def generate_alone(model: GPT, index: int) -> tuple[list[int], str]:
    """The ids and the finish reason of the index-th request alone in its batch."""
    wanted, ids = request(index), []
    source = generate(
        model,
        wanted.prompt_ids,
        wanted.sampling,
        stop_ids=END,
        banned_ids=ROLES,
        generator=wanted.generator,
    )
    while True:
        try:
            ids.append(next(source))
        except StopIteration as end:
            return ids, end.value


def gather(sampled: Iterable[SampledToken], into: dict[int, tuple[list[int], str]]) -> None:
    for one in sampled:
        ids, _ = into.setdefault(one.row, ([], ""))
        if one.token is not None:
            ids.append(one.token)
        if one.finish:
            into[one.row] = ids, one.finish


def test_rows_that_join_and_leave_equal_rows_that_run_alone(make_model: MakeModel) -> None:
    model, replies = make_model(context_length=32), dict[int, tuple[list[int], str]]()
    batch, rows, remaining = Batcher(model, 6), dict[int, int](), list(range(24))
    steps = 0
    while remaining or batch.free_rows < 6:
        if remaining and batch.free_rows and steps % 3 == 0:  # while others are running
            index = remaining.pop(0)
            rows[batch.join(request(index))] = index
        gather(batch.step(), replies)
        steps += 1
    assert {rows[row]: ids for row, ids in replies.items()} == {
        index: generate_alone(make_model(context_length=32), index) for index in range(24)
    }
    assert {reason for _, reason in replies.values()} == {"stop", "length"}
    assert any(len(ids) > 32 for ids, _ in replies.values()), "a window slid"


def test_a_row_that_leaves_frees_its_slot(make_model: MakeModel) -> None:
    batch = Batcher(make_model(), 2)
    stays, goes = batch.join(request(1)), batch.join(request(2))
    assert batch.free_rows == 0
    assert {sampled.row for sampled in batch.step()} == {stays, goes}
    batch.leave(goes)
    assert batch.free_rows == 1
    assert {sampled.row for sampled in batch.step()} == {stays}
    never = batch.join(request(3))
    batch.leave(never)
    batch.leave(never)
    assert {sampled.row for sampled in batch.step()} == {stays}


def test_an_empty_batch_samples_nothing(make_model: MakeModel) -> None:
    assert Batcher(make_model(), 2).step() == []


def test_a_full_batch_accepts_no_row(make_model: MakeModel) -> None:
    batch = Batcher(make_model(), 1)
    batch.join(request(1))
    with pytest.raises(AssertionError, match="the batch is full"):
        batch.join(request(2))


def record_reads(model: GPT) -> list[tuple[int, int]]:
    """(rows, ids) of every forward pass from now on."""
    read: list[tuple[int, int]] = []
    model.embedding.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].shape))
    return read


def test_the_next_turn_of_a_chat_prefills_only_new_ids(make_model: MakeModel) -> None:
    model, batch = make_model(), Batcher(make_model(), 1)
    batch._model = model
    first = request(1, max_new_tokens=6)
    replies = list(stream_ids(batch, first))
    second = [*first.prompt_ids, *replies, 8, 9]
    read = record_reads(model)
    sampling = GenerationSettings(temperature=0.0, max_new_tokens=8)
    ids = list(stream_ids(batch, GenerationRequest(tuple(second), sampling, make_generator(0))))
    assert read[0] == (1, 3), "the last sampled id and the two new ones"
    assert ids == list(generate(make_model(), second, sampling, stop_ids=()))


def test_each_of_several_chats_finds_its_own_cache(make_model: MakeModel) -> None:
    model = make_model()
    batch, sampling = Batcher(model, 3), GenerationSettings(temperature=0.0, max_new_tokens=4)
    chats = [[10 * index + i for i in range(20)] for index in range(3)]
    for chat in chats:
        chat += list(stream_ids(batch, GenerationRequest(tuple(chat), sampling, make_generator(0))))
    read = record_reads(model)
    for chat in (chats[1], chats[2], chats[0]):
        list(stream_ids(batch, GenerationRequest((*chat, 5), sampling, make_generator(0))))
    assert [ids for _, ids in read if ids > 1] == [2, 2, 2]


def test_the_slot_that_is_idle_longest_is_reused(make_model: MakeModel) -> None:
    model = make_model()
    batch, sampling = Batcher(model, 2), GenerationSettings(temperature=0.0, max_new_tokens=2)
    old, recent, other = ([start] * 20 for start in (3, 4, 5))
    for prompt in (old, recent, other):
        list(stream_ids(batch, GenerationRequest(tuple(prompt), sampling, make_generator(0))))
    read = record_reads(model)
    list(stream_ids(batch, GenerationRequest((*recent, 9), sampling, make_generator(0))))
    assert read[0] == (1, 1)
    list(stream_ids(batch, GenerationRequest((*old, 9), sampling, make_generator(0))))
    assert (1, 21) in read


def test_prompts_of_one_length_are_prefilled_together(make_model: MakeModel) -> None:
    model, read = make_model(), []
    read = record_reads(model)
    batch = Batcher(model, 4)
    for prompt in ((1, 2, 3), (4, 5, 6), (7, 8)):
        batch.join(GenerationRequest(prompt, GenerationSettings(), make_generator(0)))
    batch.step()
    assert read == [(2, 3), (1, 2)]


def test_log_probabilities_are_the_models_own(make_model: MakeModel) -> None:
    model = make_model()
    sampling = GenerationSettings(
        temperature=0.3, top_k=3, repetition_penalty=1.5, max_new_tokens=9
    )
    wanted = GenerationRequest((1, 2, 3), sampling, make_generator(1), banned_ids=ROLES, logprobs=4)
    batch, sampled = Batcher(model, 1), []
    batch.join(wanted)
    while batch.free_rows == 0:
        sampled += batch.step()
    ids = [one.token for one in sampled if one.token is not None]
    scored = compute_logprobs(model, [1, 2, 3, *ids], 4)
    assert scored[0] == (None, ())
    for one, (logprob, top) in zip(sampled, scored[3:], strict=True):
        assert one.logprob == pytest.approx(logprob, abs=1e-4)
        assert [token for token, _ in one.top] == [token for token, _ in top]


def test_a_model_in_training_mode_generates_in_evaluation_mode(
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
    batch.join(GenerationRequest((1,), GenerationSettings(), make_generator(0)))
    batch.step()
    batch.join(GenerationRequest((3,), GenerationSettings(), make_generator(0)))
    with pytest.raises(RunError, match="the model's logits are not finite"):
        batch.step()

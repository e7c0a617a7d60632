"""What becomes of each document and conversation."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.conversation import Conversation, Document, Message, render
from nielsgpt.data.cache.blocks import FIXED_PLACES, DocumentBlock
from nielsgpt.data.cache.build import hash_to_unit
from nielsgpt.data.tokenize import make_encoder
from nielsgpt.errors import DataError
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.byte import ByteTokenizer

Tiny = Callable[..., Settings]
BYTES = ByteTokenizer()


def talk(*turns: tuple[str, str]) -> Conversation:
    said = [(("user", question), ("assistant", answer)) for question, answer in turns]
    return Conversation(tuple(Message(role, text) for pair in said for role, text in pair))


def samples(block: DocumentBlock) -> Iterator[list[int]]:
    for end, length in zip(np.cumsum(block.lengths), block.lengths, strict=True):
        yield block.ids[end - length : end].tolist()


@pytest.mark.parametrize("where", ["end", "both", "none"])
def test_a_document_is_framed_by_end_tokens_as_the_settings_say(
    where: str, tiny: Tiny, tokenizer: Tokenizer
) -> None:
    texts = ["a lamp", "", "héllo ▁ there", "x" * 50]
    settings = tiny(data={"document_tokens": where})
    block = make_encoder("s", "pretrain", settings, tokenizer)([Document(text) for text in texts])
    before, after = {"end": (0, 1), "both": (1, 1), "none": (0, 0)}[where]
    end = [tokenizer.specials.end]
    assert [*samples(block)] == [
        end * before + list(tokenizer.encode(text)) + end * after for text in texts
    ]
    assert block.text_bytes.tolist() == [len(text.encode()) for text in texts]
    assert (block.documents, block.mask) == (4, None)


def test_the_side_is_the_datasets_own_where_it_has_one_and_else_of_the_text(tiny: Tiny) -> None:
    items = [Document("a"), Document("b", side="val"), Document("c", side="train")]
    block = make_encoder("s", "pretrain", tiny(), BYTES)(items)
    assert block.places.tolist() == [
        hash_to_unit(42, "a"),
        FIXED_PLACES["val"],
        FIXED_PLACES["train"],
    ]


def test_conversations_of_one_group_fall_together(tiny: Tiny) -> None:
    one, other = talk(("a", "b")), talk(("c", "d"))
    alone = make_encoder("s", "sft", tiny(), BYTES)([one, other]).places
    assert alone.tolist() == [hash_to_unit(42, "a\nb"), hash_to_unit(42, "c\nd")]
    grouped = [replace(one, group="tree 1"), replace(other, group="tree 1")]
    assert set(make_encoder("s", "sft", tiny(), BYTES)(grouped).places) == {
        hash_to_unit(42, "tree 1")
    }


def test_conversations_are_rendered_with_their_masks(tiny: Tiny, tokenizer: Tokenizer) -> None:
    talks = [talk(("who?", "me")), talk(("where?", "here"), ("who?", "me"))]
    block = make_encoder("s", "sft", tiny(), tokenizer)(talks)
    rendered = [render(item, tokenizer.encode, tokenizer.specials) for item in talks]
    assert [*samples(block)] == [ids for ids, _ in rendered]
    assert block.mask is not None
    assert block.mask.tolist() == [int(counts) for _, mask in rendered for counts in mask]


def test_a_long_conversation_is_cut_between_turns_and_stays_on_one_side(tiny: Tiny) -> None:
    long = talk(*[(f"question {n} " + "x" * 30, "answer " * 4) for n in range(6)])
    block = make_encoder("s", "sft", tiny(), BYTES)([long])
    assert len(block.lengths) == 6
    assert len(set(block.places)) == 1
    assert block.lengths.max() <= 129
    assert block.mask is not None
    assert block.mask.sum() == 6 * (len("answer ") * 4 + 1)
    assert block.text_bytes.tolist() == [len(BYTES.decode_bytes(ids)) for ids in samples(block)]


def test_what_does_not_fit_is_left_out_and_counted(tiny: Tiny) -> None:
    short = talk(("short", "yes"), ("long " * 40, "no"))
    block = make_encoder("s", "sft", tiny(), BYTES)([short])
    assert [BYTES.decode(ids) for ids in samples(block)] == ["shortyes"]
    assert (block.replies, block.left_out, block.dropped) == (2, 1, 0)


def test_a_special_literal_fails_with_its_place_is_escaped_or_drops_the_conversation(
    tiny: Tiny,
) -> None:
    talks = [talk(("what is <|eot|>?", "a token")), talk(("and a lamp?", "light"))]

    def done(policy: str) -> DocumentBlock:
        settings = tiny(data={"on_special_literal_sft": policy})
        return make_encoder("s", "sft", settings, BYTES)([replace(t, name="line 1") for t in talks])

    with pytest.raises(DataError, match=r"source s: line 1, message 1 contains .* at character 8"):
        done("fail")
    assert [BYTES.decode(ids) for ids in samples(done("drop"))] == ["and a lamp?light"]
    assert (done("drop").dropped, done("drop").left_out) == (1, 1)
    assert BYTES.decode(next(samples(done("escape")))) == "what is <\\|eot\\|>?a token"


def test_a_special_literal_in_a_document_fails_with_its_place_or_is_escaped(tiny: Tiny) -> None:
    items = [Document("fine"), Document("look: <|usr|>", "file 3")]
    with pytest.raises(DataError, match=r"source s: file 3 contains .* <\|usr\|> at character 6"):
        make_encoder("s", "pretrain", tiny(), BYTES)(items)
    escaped = make_encoder("s", "pretrain", tiny(data={"on_special_literal": "escape"}), BYTES)(
        items
    )
    assert BYTES.decode(escaped.ids) == "finelook: <\\|usr\\|>"

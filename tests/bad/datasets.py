"""Text and conversations that cannot be learnt from."""

from tests.bad.running import Files, Mistake

PAIR = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'
CHAT = (
    "caches -c tiny.json --set 'data.mix_sft={\"chat\":1.0}' --set data.chat.path=chat.jsonl "
    "--set data.primer.characters=20000"
)
BLANK = PAIR.replace('"a"', '" "').replace('"b"', '" "')
TEXT = "caches -c tiny.json --set 'data.mix_pretrain={\"text\":1.0}' --set data.text.path=text"
LINE = "chat.jsonl, line 1"

# A line of chat.jsonl, or the whole of it, and what the error says.
LINES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("chat.jsonl has no conversation",)),
    "blank lines": ("\n\n", ("chat.jsonl has no conversation",)),
    "a broken line": (f"{PAIR}\n[{{", ("chat.jsonl, line 2 is not JSON",)),
    "a number": ("3", (LINE, "neither a list of messages")),
    "null": ("null", (LINE, "neither a list of messages")),
    "an object without messages": ('{"text": "a"}', (LINE, "nor a messages key")),
    "messages of no list": ('{"messages": 3}', (LINE,)),
    "no message": ("[]", (LINE, "no messages")),
    "CSV": ("role,content\nuser,a\n", (LINE, "is not JSON")),
    "an unknown role": (PAIR.replace("user", "bot"), (LINE, "unknown role 'bot'")),
    "an escape as a role": (PAIR.replace("user", "\\u001b[2J"), (LINE, r"'\x1b[2J'")),
    "no role": ('[{"content": "a"}]', (LINE, "message 1")),
    "a role of no text": ('[{"role": 3, "content": "a"}]', (LINE, "role 3")),
    "a content of no text": ('[{"role": "user", "content": 3}]', (LINE, "message 1 is not")),
    "a content of null": ('[{"role": "user", "content": null}]', (LINE, "message 1 is not")),
    "the assistant first": (PAIR.replace("user", "assistant"), (LINE, "message 1", "'user'")),
    "two users": (PAIR.replace("assistant", "user"), (LINE, "message 2", "alternate")),
    "two systems": (PAIR.replace("user", "system").replace("assistant", "system"), (LINE,)),
    "nobody answers": (
        '[{"role": "user", "content": "a"}]',
        ("source chat has no user-assistant exchange",),
    ),
    "a lone surrogate": (PAIR.replace('"a"', '"\\ud800"'), (LINE, "lone surrogate")),
    "a special token": (PAIR.replace('"a"', '"<|asst|>"'), (LINE, "<|asst|> at character 0")),
    "bytes": (bytes(range(128, 256)), ("chat.jsonl is not UTF-8", "0x80")),
    "UTF-16": (PAIR.encode("utf-16"), ("chat.jsonl is not UTF-8", "0xFF")),
    "Latin-1": (PAIR.replace("b", "é").encode("latin-1"), ("is not UTF-8", "0xE9")),
    "depth": ("[" * 100_000, (LINE, "is not JSON")),
    "a name of 100,000 letters": (PAIR.replace("user", "x" * 100_000), (LINE, "unknown role")),
    "an exchange longer than the context": (
        (PAIR.replace('"a"', f'"{"a" * 500}"') + "\n") * 20,
        ("fits the context of 128 tokens", "model.context_length"),
    ),
    "one conversation": (PAIR, ("source chat has 1 documents", "one each")),
    "all the same": ((PAIR + "\n") * 40, ("every document of source chat", "val_fraction")),
}

# The files of the folder text, and what the error says.
TEXTS: dict[str, tuple[Files, tuple[str, ...]]] = {
    "none": ({}, ("text is not there",)),
    "an empty folder": ({"text/": ""}, ("text has no .txt or .md",)),
    "a folder of others": ({"text/a.pdf": "x"}, ("text has no .txt or .md",)),
    "empty files": ({"text/a.txt": "", "text/b.md": ""}, ("text has only empty files",)),
    "white space": ({"text/a.txt": " \n" * 99}, ("source text has 0 documents",)),
    "bytes": ({"text/a.txt": bytes(range(256))}, ("text/a.txt is not UTF-8", "byte 128")),
    "UTF-16": ({"text/a.txt": "hello".encode("utf-16")}, ("byte 0 is 0xFF", "iconv")),
    "a cut off character": ({"text/a.txt": b"abc\n\n" * 99 + b"\xc3"}, ("byte 495 is 0xC3",)),
    "surrogates in bytes": ({"text/a.txt": b"\xed\xa0\x80"}, ("byte 0 is 0xED",)),
    "a special token": (
        {"text/a.txt": "a\n\n" * 99 + "x <|eot|> y"},
        ("a.txt, chunk", "<|eot|> at character"),
    ),
    "a link to itself": ({"text/a.txt": "-> a.txt"}, ("text has no .txt or .md",)),
    "a link to its own folder": ({"text/up": "-> ../text"}, ("text has no .txt or .md",)),
    "a link to nothing": ({"text/a.txt": "-> nothing"}, ("text has no .txt or .md",)),
    "a special folder": ({"text": "-> /dev/null"}, ("text",)),
}

MISTAKES = {
    f"chat: {name}": Mistake(CHAT, says, {"chat.jsonl": content}, stays=("data",))
    for name, (content, says) in LINES.items()
}
MISTAKES |= {
    f"text: {name}": Mistake(TEXT, says, files, stays=("data",))
    for name, (files, says) in TEXTS.items()
}
MISTAKES |= {
    "chat: no file": Mistake(CHAT, ("chat.jsonl is not there",), stays=("data/tokenizers",)),
    "chat: a folder of others": Mistake(
        CHAT, ("chat.jsonl has no .jsonl",), {"chat.jsonl/a.txt": "a"}, stays=("data/tokenizers",)
    ),
    "mix: an unknown source is found before anything is built": Mistake(
        "caches -c tiny.json --set 'data.mix_sft={\"primmer\":1.0}'",
        ("unknown source 'primmer'", "did you mean primer?"),
        stays=("data/tokenizers",),
    ),
    "mix: a source of the other phase": Mistake(
        "caches -c tiny.json --set 'data.mix_sft={\"text\":1.0}'",
        ("data.mix_sft names the unknown source 'text'",),
        stays=("data/tokenizers",),
    ),
    "mix: all that is optional is missing": Mistake(
        "caches -c tiny.json --set 'data.mix_pretrain={\"roam\":1.0}'",
        ("no source of data.mix_pretrain is available", "roam"),
    ),
    "vocabulary: too large for the text": Mistake(
        'tokenizer -c tiny.json --set \'tokenizer={"kind":"sentencepiece","vocab_size":90000}\'',
        ("tokenizer.vocab_size 90000 is too large for this corpus",),
        stays=("data/tokenizers",),
    ),
    "vocabulary: nothing but blank replies": Mistake(
        f"tokenizer{CHAT.removeprefix('caches')}{TEXT.removeprefix('caches -c tiny.json')} "
        "--kind sentencepiece --vocab-size 300",
        ("chat.jsonl has no reply to train on",),
        {"text/a.txt": " \n" * 99, "chat.jsonl": f"{BLANK}\n" * 9},
        stays=("data/tokenizers",),
    ),
    "vocabulary: a pattern without files": Mistake(
        "tokenizer -c tiny.json --kind bpe --vocab-size 300 --input-glob 'none*.txt'",
        ("'none*.txt' matches no file",),
        stays=("data/tokenizers",),
    ),
    "cache: a file where its folder should be": Mistake(
        "caches -c tiny.json --cache-dir full",
        ("full/streams cannot be written", "Not a directory"),
        {"full": "x"},
        stays=("data/tokenizers",),
    ),
    "cache: a file where data should be": Mistake(
        "caches -c tiny.json", ("data/tokenizers/tiny cannot be written",), {"data": "x"}
    ),
    "windows: a corpus shorter than one": Mistake(
        f"pretrain{TEXT.removeprefix('caches')}",
        ("fewer than one window of 129",),
        {"text/a.txt": "one.\n\ntwo.\n\nthree."},
        stays=("data", "checkpoints"),
    ),
}

"""Configs and settings that are wrong: by name, by type, by range, against each other, no JSON."""

import shlex

from tests.bad.running import Mistake

# section.name=value, and what the error says of it.
SETTINGS: dict[str, tuple[str, ...]] = {
    "modle.n_layer=3": ("unknown key modle", "did you mean model?"),
    "model.n_layers=3": ("unknown key model.n_layers", "did you mean model.n_layer?"),
    "model.model.n_layer=3": ("unknown key model.model",),
    "training.pretrain.lr=1": ("did you mean training.pretrain.learning_rate?",),
    "training.sft.max_iters=9": ("did you mean training.sft.max_steps?",),
    "model.block_size=64": ("did you mean model.context_length?",),
    "training.pretrain.per_device_train_batch_size=8": ("training.pretrain.micro_batch_size?",),
    "generation.num_predict=9": ("did you mean generation.max_new_tokens?",),
    "generation.repeat_penalty=1.1": ("did you mean generation.repetition_penalty?",),
    "temperature=1": ("unknown key temperature", "did you mean generation.temperature?"),
    "qqqq=1": ("unknown key qqqq", "'nielsgpt config' lists all"),
    "extends=quickstart.json": ("unknown key extends",),
    ".=1": ("unknown key",),
    "model..n_layer=2": ("unknown key model.",),
    "=3": ("--set '=3' is not of the form section.name=value",),
    "seed": ("--set 'seed' is not of the form",),
    "seed=x": ('seed is "x"', "valid integer"),
    "seed=": ('seed is ""',),
    "seed=-1": ("seed is -1",),
    "seed=1.5": ("seed is 1.5",),
    "seed=true": ("seed is true",),
    "seed=null": ("seed is null",),
    "seed=[[[[": ('seed is "[[[["',),
    "seed=NaN": ("seed is NaN",),
    "seed=1e400": ("seed is Infinity",),
    "seed=99999999999999999999": ("seed is 99999999999999999999", "less than"),
    "seed.x=3": ('seed is {"x": 3}',),
    'seed={"a":1,"a":2}': ("seed is", "a"),
    "name=": ('name is ""',),
    "name=../x": ('name is "../x"',),
    "name=/etc": ('name is "/etc"',),
    "name=a/b": ('name is "a/b"',),
    "name=..": ('name is ".."',),
    "name=.hidden": ('name is ".hidden"',),
    "name=a\nb": (r'name is "a\nb"',),
    'name="\\ud800"': ("name contains a lone surrogate",),
    "model=3": ("model is 3", "object"),
    "model=[]": ("model is []",),
    "model.variant=llama": ('model.variant is "llama"', "gpt_qk"),
    "model.n_head=3": ("n_embd 32 is not a multiple of n_head 3",),
    "model.n_embd=6": ("the head width 3 is odd",),
    "model.n_embd=0": ("model.n_embd is 0",),
    "model.context_length=0": ("model.context_length is 0",),
    "model.dropout=1": ("model.dropout is 1",),
    "data=text": ('data is "text"',),
    "data.mix_pretrain=3": ("data.mix_pretrain is 3",),
    "data.mix_pretrain={}": ("the shares of mix_pretrain add up to 0, not to 1",),
    'data.mix_sft={"primer":0.5}': ("the shares of mix_sft add up to 0.5",),
    'data.mix_sft={"primer":0.5,"chat":0.4}': ("add up to 0.9",),
    'data.mix_pretrain={"primer":2}': ("data.mix_pretrain.primer is 2",),
    'data.mix_pretrain={"primer":-1}': ("data.mix_pretrain.primer is -1",),
    'data.mix_pretrain={"primer":NaN}': ("data.mix_pretrain.primer is NaN",),
    'data.mix_pretrain={"primer":"1"}': ('data.mix_pretrain.primer is "1"',),
    "data.val_fraction=0": ("data.val_fraction is 0",),
    "data.val_fraction=0.9": ("data.val_fraction is 0.9",),
    "data.shard_bytes=1": ("data.shard_bytes is 1",),
    "data.optional=roam": ('data.optional is "roam"',),
    "data.primer.characters=0": ("data.primer.characters is 0",),
    "data.on_special_literal=ignore": ('data.on_special_literal is "ignore"', "escape"),
    "tokenizer.kind=tiktoken": ('tokenizer.kind is "tiktoken"', "sentencepiece"),
    "tokenizer.vocab_size=3": ("tokenizer.vocab_size is 3",),
    "tokenizer.vocab_size=2000000": ("tokenizer.vocab_size is 2000000",),
    "training.pretrain.learning_rate=0": ("learning_rate is 0",),
    "training.pretrain.learning_rate=Infinity": ("learning_rate is Infinity", "finite"),
    "training.pretrain.learning_rate=fast": ('learning_rate is "fast"',),
    "training.pretrain.min_learning_rate=1": ("min_learning_rate 1 is above learning_rate",),
    "training.pretrain.micro_batch_size=3": ("batch_size 4 is not a multiple of",),
    "training.pretrain.batch_size=0": ("batch_size is 0",),
    "training.pretrain.beta2=1": ("beta2 is 1",),
    "training.pretrain.optimizer=sgd": ('optimizer is "sgd"', "muon"),
    "training.pretrain.schedule=linear": ('schedule is "linear"', "trapezoid"),
    "training.pretrain.minutes=0": ("minutes is 0",),
    "training.pretrain.keep_checkpoints=1": ("keep_checkpoints is 1",),
    'training.pretrain.trackers=["mlflow"]': ('"mlflow"', "tensorboard"),
    "training.sft_share=1": ("training.sft_share is 1",),
    "training.report=yes": ('training.report is "yes"', "boolean"),
    "generation.temperature=-1": ("generation.temperature is -1",),
    "generation.top_p=0": ("generation.top_p is 0",),
    "generation.min_p=1": ("generation.min_p is 1",),
    'generation.stop_strings=[""]': ('generation.stop_strings.0 is ""',),
    "exam.replies=0": ("exam.replies is 0",),
    "device.device=gpu": ('device.device is "gpu"',),
    "device.threads=-1": ("device.threads is -1",),
    "device.precision=fp8": ('device.precision is "fp8"', "bf16"),
    "serve.port=65536": ("serve.port is 65536",),
    "serve.streams=0": ("serve.streams is 0",),
}

# The whole file bad.json, and what the error says of it.
FILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("bad.json is not JSON", "line 1 column 1")),
    "white space": (" \n", ("bad.json is not JSON",)),
    "cut off": ('{"seed":1', ("bad.json is not JSON", "column 10")),
    "a comma too many": ('{"seed":1,}', ("bad.json is not JSON", "column 11")),
    "a comment": ('{"seed":1} // one', ("bad.json is not JSON", "Extra data")),
    "single quotes": ("{'seed':1}", ("bad.json is not JSON",)),
    "YAML": ("seed: 1\n", ("bad.json is not JSON",)),
    "a byte order mark": (b'\xef\xbb\xbf{"seed":1}', ("bad.json is not JSON", "BOM")),
    "UTF-16": ('{"seed":1}'.encode("utf-16"), ("bad.json is not JSON", "0xff")),
    "Latin-1": ('{"name":"é"}'.encode("latin-1"), ("bad.json is not JSON", "0xe9")),
    "bytes": (bytes(range(256)), ("bad.json is not JSON", "position 128")),
    "a NUL": (b'{"name":"a\x00b"}', ("bad.json is not JSON", "control character")),
    "depth": ('{"a":' * 100_000, ("bad.json is not JSON", "recursion")),
    "5000 digits": ('{"seed":' + "9" * 5000 + "}", ("bad.json is not JSON", "4300")),
    "a list": ("[]", ("bad.json is []", "object of sections")),
    "a number": ("3", ("bad.json is 3",)),
    "null": ("null", ("bad.json is null",)),
    "a name twice": ('{"seed":1,"seed":2}', ('the name "seed" twice',)),
    "an inner name twice": ('{"model":{"n_layer":1,"n_layer":2}}', ('the name "n_layer" twice',)),
    "NaN": ('{"training":{"sft":{"eps":NaN}}}', ("bad.json: training.sft.eps is NaN",)),
    "1e999": ('{"training":{"sft":{"eps":1e999}}}', ("training.sft.eps is Infinity",)),
    "a lone surrogate": ('{"name":"\\ud800"}', ("name contains a lone surrogate",)),
    "a surrogate in a name": ('{"\\udfff":1}', ("lone surrogate",)),
    "a line break in a name": ('{"a\\nb":1}', (r"unknown key a\nb",)),
    "an escape in a name": ('{"\\u001b[31mx":1}', (r"unknown key \x1b[31mx",)),
    "a missing parent": ('{"extends":"none.json"}', ("config none.json is not a file",)),
    "itself": ('{"extends":"bad.json"}', ("bad.json extends itself",)),
    "a parent of no name": ('{"extends":3}', ("bad.json: extends is 3",)),
    "a folder as a parent": ('{"extends":"."}', ("config . is not a file",)),
    "two faults": ('{"a":1,"seed":"x"}', ("unknown key a", 'seed is "x"')),
    "a hundred faults": (
        "{" + ",".join(f'"k{n}":1' for n in range(100)) + "}",
        ("unknown key k0", "and 92 more"),
    ),
    "old names": ('{"training":{"sft":{"base_lr":-1}}}', ("training.sft.learning_rate is -1",)),
}

MISTAKES = {
    f"settings: {text!r}": Mistake(f"config -c tiny.json --set {shlex.quote(text)}", says)
    for text, says in SETTINGS.items()
}
MISTAKES |= {
    f"config: {name}": Mistake("config -c bad.json", says, {"bad.json": content})
    for name, (content, says) in FILES.items()
}
MISTAKES |= {
    "config: a huge text": Mistake(
        f"config -c tiny.json --set name={'x' * 50_000}", ('name is "xxx', "...")
    ),
    "config: a deep value": Mistake(f"config -c tiny.json --set seed={'[' * 50_000}", ("seed is",)),
    "config: a missing file": Mistake("config -c none.json", ("config none.json is not a file",)),
    "config: a folder": Mistake("config -c bad", ("config bad is not a file",), {"bad/": ""}),
    "config: a circle of links": Mistake(
        "config -c bad.json", ("config bad.json is not a file",), {"bad.json": "-> bad.json"}
    ),
    "config: a device": Mistake("config -c /dev/null", ("config /dev/null is not a file",)),
    "config: a name with a line break": Mistake(
        "config -c 'a\nb.json'", (r"config a\nb.json is not a file",)
    ),
    "config: a name beyond every file system": Mistake(
        f"config -c {'x' * 300}", ("xxx", "File name too long")
    ),
    "config: of the file, not of the command line": Mistake(
        "config -c bad.json --set seed=2", ("bad.json: unknown key a",), {"bad.json": '{"a":1}'}
    ),
    "config: of the command line, not of the file": Mistake(
        "config -c tiny.json --set a=2", ("the command line: unknown key a",)
    ),
}

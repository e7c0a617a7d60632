"""Run by an interpreter that has llama-cpp-python: a job as JSON on stdin, the answer on stdout.

The cache of keys and values is float32 here; llama.cpp's default is float16. Weights are not packed
anew for AMX: llama.cpp 0.3.36 of this package then crashed on q8_0 in a virtual machine.
"""

import json
import sys

import llama_cpp
import numpy as np
from llama_cpp import Llama

defaults = llama_cpp.llama_model_default_params


def unpacked() -> llama_cpp.llama_model_params:
    parameters = defaults()
    parameters.use_extra_bufts = False
    return parameters


llama_cpp.llama_cpp.llama_model_default_params = unpacked
llama_cpp.llama_model_default_params = unpacked
job = json.load(sys.stdin)
model = Llama(
    job["file"],
    n_ctx=job["context"],
    n_batch=job["context"],
    n_threads=1,
    n_threads_batch=1,
    logits_all=True,
    flash_attn=False,
    type_k=0,
    type_v=0,
    verbose=False,
)


def encoded(text: str, special: bool) -> list[int]:
    return list(model.tokenize(text.encode(), add_bos=False, special=special))


def read(ids: list[int]) -> np.ndarray:
    before = model.n_tokens
    model.eval(ids)
    return np.array(model.scores[before : model.n_tokens])


worst, replies = 0.0, []
for ids, expected in zip(job["prompts"], job["logits"], strict=True):
    model.reset()
    logits = read(ids)
    worst = max(worst, float(np.abs(logits[-1] - np.array(expected)).max()))
    reply = []
    for _ in range(job["length"]):
        reply.append(int(logits[-1].argmax()))
        logits = read(reply[-1:])
    replies.append(reply)
answer = {
    "ids": [encoded(text, False) for text in job["texts"]],
    "specials": encoded("<|sys|><|usr|><|asst|><|eot|>", True),
    "template": model.metadata["tokenizer.chat_template"],
    "worst": worst,
    "replies": replies,
}
json.dump(answer, sys.stdout)

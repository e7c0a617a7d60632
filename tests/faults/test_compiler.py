"""A compiler that was killed: the next command compiles all the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import torch
from nielsgpt.system.compile_cache import guard_compile

def function(x):
    return (x.exp() * 3).sum(dim=-1) + (x @ x).tanh().sum()

x = (torch.arange(4096.0).view(64, 64) / 4096).requires_grad_()
y = guard_compile(function)(x).sum()
y.backward()
print(y.item().hex(), x.grad.sum().item().hex())
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("left", [b"", b"\x7fELF half"])
def test_after_a_compiler_was_killed_the_same_bits_are_compiled_anew(
    tmp_path: Path, left: bytes
) -> None:
    around = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run() -> str:
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(
            command, env=around, capture_output=True, text=True, check=True, timeout=300
        ).stdout

    first = run()
    libraries = list(tmp_path.rglob("*.main.so"))
    assert libraries
    for library in libraries:
        library.write_bytes(left)
        library.with_name(f"{library.stem}_CxxBuild").mkdir()
    assert run() == first
    assert all(library.stat().st_size > len(left) for library in libraries)

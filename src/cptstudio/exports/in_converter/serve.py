"""Runs llama.cpp's server in this process until standard input ends.

Run by the converter's Python: `python serve.py FILE CONTEXT THREADS KEY`. Weights stay on the CPU
and the cache is float32, so that the file is measured and not a backend. Listens on a free port of
the loopback interface; {"address": ...} is written to standard output once it answers.
"""

from __future__ import annotations

import json
import os
import sys


def main(file: str, context: int, threads: int, key: str) -> None:
    """Serve a GGUF file."""
    output = os.dup(1)
    os.dup2(2, 1)
    import xllamacpp as llama

    given = llama.CommonParams()
    given.model.path = file
    given.n_ctx = context
    given.n_parallel = 1
    given.n_gpu_layers = 0
    given.cache_type_k = llama.ggml_type.GGML_TYPE_F32
    given.cache_type_v = llama.ggml_type.GGML_TYPE_F32
    given.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    given.cpuparams.n_threads = threads
    given.cpuparams_batch.n_threads = threads
    given.cpuparams.poll = 0
    given.cpuparams_batch.poll = 0
    given.warmup = False
    given.fit_params = False
    given.ui = False
    given.offline = True
    given.api_keys = [key]
    # What a template asks for is none of the measurement's business.
    given.enable_chat_template = False
    server = llama.Server(given)
    os.write(output, json.dumps({"address": server.listening_address}).encode() + b"\n")
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])

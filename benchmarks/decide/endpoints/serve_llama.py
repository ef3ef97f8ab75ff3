# pyright: basic, reportMissingImports=false, reportUnnecessaryTypeIgnoreComment=false
"""Serve a GGUF file with the HTTP server of llama.cpp on loopback, until standard input ends.

Run by run.py in the environment that has xllamacpp: `serve_llama.py FILE ALIAS PORT`.
"""

from __future__ import annotations

import sys

import xllamacpp


def main() -> None:
    """Serve until standard input ends."""
    file, alias, port = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = [alias]
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_parallel = 4
    params.n_ctx = 4 * 1024
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.offline = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

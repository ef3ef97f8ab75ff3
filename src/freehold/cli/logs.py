"""Logging, configured here and nowhere else: errors always, warnings of libraries with --verbose."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

CHATTY = (
    "transformers", "huggingface_hub", "sentence_transformers", "peft", "torch", "filelock",
    "urllib3", "httpx", "httpcore", "fsspec", "asyncio", "datasets", "pypdf",
)  # fmt: skip


class _Handler(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._write(self.format(record))


def configure_logging(write: Callable[[str], None], *, is_verbose: bool) -> None:
    """Send log records to `write`: from WARNING on, of chatty libraries from ERROR on.

    With `is_verbose`, everything from INFO on, and Python's warnings too. Handlers that a library
    installs for itself are taken away, so that one record is printed once.
    """
    root = logging.getLogger()
    for handler in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(handler)
    root.addHandler(_Handler(write))
    root.setLevel(logging.INFO if is_verbose else logging.WARNING)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.INFO if is_verbose else logging.ERROR)
    logging.captureWarnings(is_verbose)
    if not is_verbose:
        warnings.simplefilter("ignore")

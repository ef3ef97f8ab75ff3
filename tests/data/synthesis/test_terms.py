from __future__ import annotations

from pathlib import Path

import pytest

import freehold.models
from freehold.data.synthesis.terms import terms_of

APACHE = "                Apache License\n           Version 2.0, January 2004\n"


def test_the_bundled_model_says_its_licence() -> None:
    terms = terms_of(Path(str(freehold.models.__file__)).parent / "acorn")
    assert (terms.licence, terms.source, terms.are_free) == ("Apache-2.0", "README.md", True)


@pytest.mark.parametrize(
    ("files", "licence", "source", "free"),
    [
        ({"README.md": "---\nlicense: mit\ntags: [x]\n---\n# x"}, "mit", "README.md", True),
        (
            {"README.md": "---\nlicense: other\nlicense_name: qwen-research\n---\n"},
            "qwen-research",
            "README.md",
            False,
        ),
        ({"LICENSE": APACHE, "README.md": "# x"}, "Apache-2.0", "LICENSE", True),
        ({"LICENSE.txt": "Our own terms."}, "see LICENSE.txt", "LICENSE.txt", False),
        (
            {"LICENSE": "LLAMA 3 COMMUNITY LICENSE AGREEMENT"},
            "Llama community licence",
            "LICENSE",
            False,
        ),
        ({"README.md": "# a model"}, "unknown", "nowhere", False),
        ({}, "unknown", "nowhere", False),
    ],
)
def test_terms_are_read_from_the_folder(
    tmp_path: Path, files: dict[str, str], licence: str, source: str, free: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    terms = terms_of(tmp_path)
    assert (terms.licence, terms.source, terms.are_free) == (licence, source, free)
    assert terms.are_known is (licence != "unknown")


def test_the_users_own_word_wins_and_no_folder_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(APACHE)
    assert terms_of(tmp_path, given="our contract 4711").licence == "our contract 4711"
    assert terms_of(None).licence == "unknown"

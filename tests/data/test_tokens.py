from freehold.data.tokens import oddity_of, tokens_of


def test_words_addresses_and_punctuation_are_tokens_in_lower_case() -> None:
    assert tokens_of("I'm at https://A.example/x. OK!!!") == (
        "i'm",
        "at",
        "https://a.example/x",
        "ok",
        "!!!",
    )


def test_what_people_do_not_see_is_a_token() -> None:
    assert tokens_of("pay\u200bpal \u2060x") == ("paypal", "U+200B", "U+2060", "x")
    assert tokens_of("p\u0430y now") == ("homoglyph:p\u0430y", "now")
    assert [
        oddity_of(token) for token in ("U+200B", "homoglyph:p\u0430y", "www.a.example", "now")
    ] == [
        "invisible",
        "homoglyph",
        "address",
        "plain",
    ]


def test_other_languages_are_plain_words() -> None:
    found = tokens_of("Привет мир, naïve Ärger 日本語")
    assert {oddity_of(token) for token in found} == {"plain"}

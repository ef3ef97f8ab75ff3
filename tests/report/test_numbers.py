import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from freehold.core.measure import Difference, Estimate
from freehold.report import numbers

SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (numbers.share(0.855), "0.855"),
        (numbers.share(1.0), "1.000"),
        (numbers.share(None), "–"),
        (numbers.bar_value(0.8), "0.80"),
        (numbers.bar_value(0.975), "0.975"),
        (numbers.bound(0.817), ".817"),
        (numbers.bound(1.0), "1.00"),
        (numbers.bound(0.9996), "1.00"),
        (numbers.bound(0.0), ".000"),
        (numbers.signed(-0.03), "-.030"),
        (numbers.signed(0.0), "+.000"),
        (numbers.signed(-0.0001), "+.000"),
        (numbers.signed(1.0), "+1.00"),
        (numbers.signed_points(0.08), "+8.0"),
        (numbers.signed_points(-0.00001), "+0.0"),
        (numbers.p_value(0.0004), "p<.001"),
        (numbers.p_value(0.24), "p=.24"),
        (numbers.p_value(0.008), "p=.008"),
        (numbers.p_value(1.0), "p=1"),
        (numbers.count(5124), "5,124"),
        (numbers.short_count(200_000), "200k"),
        (numbers.short_count(1_500_000), "1.5M"),
        (numbers.short_count(9_999), "9,999"),
        (numbers.plural(1, "rung"), "1 rung"),
        (numbers.plural(2, "rung"), "2 rungs"),
        (numbers.money(1204.4), "$1,204"),
        (numbers.money(1.95), "$1.95"),
        (numbers.money(0.0), "$0.00"),
        (numbers.money(0.0046), "$0.0046"),
        (numbers.money(0.00051), "$0.00051"),
        (numbers.money(0.0000051), "<$0.0001"),
        (numbers.money(None), "–"),
        (numbers.money_per_1k(0.31), "$0.31/1k"),
        (numbers.latency(0.12), "0.12s"),
        (numbers.latency(0.0042), "4ms"),
        (numbers.latency(0.0004), "0.4ms"),
        (numbers.latency(12.34), "12.3s"),
        (numbers.latency(65.0), "1:05"),
        (numbers.clock(3520), "58:40"),
        (numbers.clock(3599.6), "1 h 00 min"),
        (numbers.clock(3960), "1 h 06 min"),
        (numbers.clock(183600), "2 d 3 h"),
        (numbers.rough(48), "0:48"),
        (numbers.rough(3720), "62 min"),
        (numbers.rough(11400), "3 h 10 min"),
        (numbers.size(212_345), "212 kB"),
        (numbers.size(6_200_000), "6.2 MB"),
        (numbers.size(999), "999 B"),
        (numbers.percent(0.95), "95 %"),
        (numbers.percent(0.995), "99.5 %"),
    ],
)
def test_a_number_is_written_as_drawn(written: str, wanted: str) -> None:
    assert written == wanted


def test_an_estimate_never_stands_without_its_interval() -> None:
    value = Estimate(mean=0.855, low=0.817, high=0.886, n=1400, failed=3)
    assert numbers.estimate_n(value) == "0.855 [.817 .886] n=1,400, 3 failed"


def test_nothing_scored_shows_everything_as_possible() -> None:
    value = Estimate(mean=None, low=0.0, high=1.0, n=0, failed=5)
    assert numbers.estimate_n(value) == "– [.000 1.00] n=0, 5 failed"


def test_a_difference_that_may_be_zero_is_marked() -> None:
    unclear = Difference(mean=-0.03, low=-0.077, high=0.017, n=400, p_value=0.2, test="mcnemar")
    clear = Difference(mean=0.08, low=0.046, high=0.114, n=400, p_value=0.0001, test="mcnemar")
    assert (numbers.difference_mark(unclear), numbers.difference_mark(clear)) == ("≈", " ")
    assert numbers.difference(unclear) == "-.030 [-.077 +.017]"
    assert numbers.points(clear) == "+8.0 points [+4.6 +11.4]"


@given(SHARES, SHARES)
def test_bounds_have_four_characters_and_keep_their_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert len(numbers.bound(low)) == len(numbers.bound(high)) == 4
    assert float(numbers.bound(low)) <= float(numbers.bound(high))


@given(st.floats(-1, 1))
def test_a_signed_share_reads_back_to_three_digits(value: float) -> None:
    assert float(numbers.signed(value)) == pytest.approx(value, abs=0.00051)


@given(st.floats(1e-4, 1e9))
@example(0.015625)
@example(0.0099999)
def test_money_is_true_to_the_cent_and_below_a_cent_to_two_digits(value: float) -> None:
    read = float(numbers.money(value).removeprefix("$").replace(",", ""))
    assert read == pytest.approx(value, rel=0.06, abs=0.0051 if value >= 0.01 else 6e-9)


@given(st.floats(0, 1e8))
def test_a_duration_names_at_most_two_units(seconds: float) -> None:
    text = numbers.rough(seconds)
    assert re.fullmatch(r"\d+:\d\d|\d+ min|\d+ h \d\d min|\d+ d \d+ h", text)

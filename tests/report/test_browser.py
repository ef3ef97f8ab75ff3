import json
import re
import zlib
from pathlib import Path

import pytest
from tests.report import sample
from tests.report.chromium import browse

from freehold.report.html import climb_html


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "c12.html"
    path.write_text(climb_html(sample.view()), encoding="utf-8")
    return path


def requests_of(log: Path) -> set[str]:
    """The hosts that the network log names, without those of Chromium's own services."""
    urls = re.findall(r'"url":"([a-z]+)://([^/"]+)', log.read_text(errors="replace"))
    own = ("google.com", "googleapis.com", "gvt1.com")
    return {host for scheme, host in urls if scheme.startswith("http") and not host.endswith(own)}


def test_the_report_opens_from_a_file_with_scripts_off_and_asks_for_nothing(page: Path) -> None:
    shot, log = page.parent / "shot.png", page.parent / "net.json"
    options = ("--window-size=1000,1400", f"--screenshot={shot}", f"--log-net-log={log}")
    browse(page, *options, scripts=False)
    assert len(set(pixels(shot.read_bytes()))) > 60
    assert requests_of(log) == set()


def test_the_network_log_would_show_a_request_and_scripts_are_really_off(tmp_path: Path) -> None:
    asking = tmp_path / "asking.html"
    asking.write_text(
        "<p>still<img src='http://report.invalid/x.png'>"
        "<script>document.body.textContent='ran'</script>",
        encoding="utf-8",
    )
    log = tmp_path / "net.json"
    shown = browse(asking, "--dump-dom", f"--log-net-log={log}", scripts=False)
    assert "<p>still" in shown
    assert requests_of(log) == {"report.invalid"}


def test_one_layout_is_shown_at_a_time_and_nothing_is_wider_than_the_screen(page: Path) -> None:
    # The policy of the page forbids scripts: this copy is measured without it.
    script = """<script>
    const wide = [...document.querySelectorAll('body *')].filter(e =>
      !e.closest('.scroll, pre') && e.getBoundingClientRect().width > 0 &&
      e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
      .map(e => e.tagName + '.' + e.className);
    const shown = ['forest', 'forest-narrow'].filter(name =>
      document.querySelector(`[data-testid="${name}"]`).getBoundingClientRect().width > 0);
    document.body.textContent = 'FOUND' + JSON.stringify(
      [document.documentElement.scrollWidth <= document.documentElement.clientWidth, wide, shown])
      + 'END';
    </script>"""
    content = re.sub("<meta http-equiv[^>]+>", "", page.read_text(encoding="utf-8"))
    copy = page.parent / "measured.html"
    copy.write_text(content.replace("</body>", script + "</body>"), encoding="utf-8")
    for size, layout in (("500,900", "forest-narrow"), ("1100,900", "forest")):
        dumped = browse(copy, "--dump-dom", f"--window-size={size}")
        found = re.search("FOUND(.*)END", dumped)
        assert found is not None
        assert json.loads(found.group(1)) == [True, [], [layout]]


def pixels(png: bytes) -> bytes:
    """The image data of a PNG, still filtered: enough to see that it is not one colour."""
    data, place = b"", 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    return zlib.decompress(data)

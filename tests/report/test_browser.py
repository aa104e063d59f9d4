"""The page of a report, opened as a reader opens it: in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from approxbit.report import Report, write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
LOOK = """<script>
const shown = [...document.images].filter(each => each.complete && each.naturalWidth > 9).length;
const wide = document.documentElement.scrollWidth > window.innerWidth;
document.title = `${shown} of ${document.images.length} pictures, ` + (wide ? "too wide" : "fits");
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: none of " + ", ".join(BROWSERS) + " is here")
@pytest.mark.parametrize("width", [1200, 480])
def test_a_browser_shows_all_of_the_page(report: Report, tmp_path: Path, width: int) -> None:
    assert BROWSER is not None
    page = write_report(tmp_path / "report", report)
    looked = page.with_name("looked.html")
    looked.write_text(page.read_text().replace("</body>", f"{LOOK}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},3000"]
    options += [f"--user-data-dir={tmp_path / 'profile'}"]
    finished = subprocess.run(
        [BROWSER, *options, "--dump-dom", looked.as_uri()], capture_output=True, text=True, check=False
    )
    found = re.search("<title>(.*)</title>", finished.stdout)
    assert found, finished.stderr
    assert found.group(1) == "6 of 6 pictures, fits"
    assert report.conclusion in finished.stdout

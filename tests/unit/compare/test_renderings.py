"""The table and the picture."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from sealift.compare.claims import ABOUT, SAME_MEMORY
from sealift.compare.measure import with_claims_judged
from sealift.compare.picture import LEFT, WIDTH, svg
from sealift.compare.table import BEGIN, END, into_page, markdown
from sealift.compare.values import Advisories, Comparison
from sealift.model.codec import from_json, to_json
from tests.unit.compare.example import comparison, kind

DOCS = Path(__file__).parents[3] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_has_a_column_for_each_kind() -> None:
    text = markdown(comparison())
    assert row(text, "with the service, unpacked") == [
        *("14.0 MB", "34.0 MB", "114.0 MB"),
        "not measured here (said: 25 MB)",
    ]
    assert row(text, "shell") == ["none", "none", "sh, bash", "not measured here"]
    assert row(text, "findings")[:3] == ["none", "none", "1 high, 2 low"]
    assert row(text, "files")[0] == "1,234"
    assert row(text, "start to first good /healthz, median")[0] == "200 ms"


def test_findings_of_a_stand_in_are_no_findings() -> None:
    known = Advisories(source="ci/advisories.yaml", date="2026-11-24", stand_in=18)
    text = markdown(comparison(known=known))
    said = "not measured here (stand-in database of 18 advisories)"
    assert row(text, "findings") == [said, said, said, "not measured here"]
    assert "Findings were not measured here" in text
    assert "Findings are Trivy's, with Trivy's database of 2026-11-23." in markdown(comparison())


def test_what_is_committed_is_what_the_program_writes_of_its_json() -> None:
    folder = DOCS / "compare"
    written = from_json((folder / "comparison.json").read_bytes(), Comparison, source="docs")
    assert with_claims_judged(written) == written
    assert (folder / "comparison.md").read_text(encoding="utf-8") == markdown(written)
    assert (folder / "comparison.svg").read_text(encoding="utf-8") == svg(written)


def test_the_guide_names_both_tolerances() -> None:
    page = (DOCS / "distroless.md").read_text(encoding="utf-8")
    counted = page.partition("How it is counted:")[2].partition("## ")[0]
    for tolerance in (ABOUT, SAME_MEMORY):
        assert f"{tolerance * 100:.0f} %" in counted
    assert "RSS decides" in counted


def test_the_guide_shows_the_comparison_that_lies_beside_it() -> None:
    page = (DOCS / "distroless.md").read_text(encoding="utf-8")
    assert into_page(page, (DOCS / "compare" / "comparison.md").read_text(encoding="utf-8")) == page
    assert into_page(f"a\n{BEGIN}\nold\n{END}\nb\n", "new\n") == f"a\n{BEGIN}\nnew\n{END}\nb\n"
    assert into_page(f"a\n{BEGIN}\nold\n", "new\n") == f"a\n{BEGIN}\nold\n"


def test_the_table_says_when_where_and_why_not() -> None:
    text = markdown(comparison())
    assert "2026-11-24" in text
    assert "A & B, 2 cores, 8 GiB, Linux 6.1, podman 4.3; load average 1.5" in text
    assert "Alpine was not measured here: it could not be fetched." in text
    assert row(text, "static: base about 2 MB") == ["supported", "2.0 MB unpacked, 1.0 MB compressed"]


def test_every_line_of_a_table_has_as_many_cells() -> None:
    for block in markdown(comparison()).split("\n\n"):
        counts = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(counts) <= 1


def test_the_picture_is_xml_and_speaks() -> None:
    root = ET.fromstring(svg(comparison()))  # noqa: S314 - our own text
    assert root.get("role") == "img"
    assert "Static 14.0 MB" in root.get("aria-label", "")
    assert "A & B" in "".join(root.itertext())
    assert "prefers-color-scheme: dark" in "".join(root.itertext())


def test_bars_are_in_proportion_and_stay_on_the_page() -> None:
    root = ET.fromstring(svg(comparison()))  # noqa: S314 - our own text
    bars = [r for r in root.iter(f"{SVG}rect") if r.get("class") in ("base", "ours")]
    static, base, debian = (
        float(bars[i].get("width", "")) + float(bars[i + 1].get("width", "")) for i in (0, 2, 4)
    )
    assert abs(debian / static - 114 / 14) < 0.05
    assert abs(debian / base - 114 / 34) < 0.05
    assert all(float(r.get("x", "")) >= LEFT for r in bars)
    assert all(float(r.get("x", "")) + float(r.get("width", "")) <= WIDTH for r in bars)


def test_what_nobody_measured_is_only_an_outline() -> None:
    text = svg(comparison())
    assert len(re.findall('class="said"', text)) == 1
    assert "25 MB is said; not measured" in text


def test_a_comparison_comes_back_from_its_json() -> None:
    made = comparison(kind("static"), kind("base"))
    assert from_json(to_json(made), Comparison, source="here") == made

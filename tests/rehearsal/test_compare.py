"""``sealift compare`` in a fresh clone, with nothing built before: one command, and everything is there."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from sealift.commands.compare import PAGE
from sealift.compare.kinds import TITLES
from sealift.compare.measure import this_platform
from sealift.compare.table import BEGIN, END, ROWS
from sealift.compare.values import Comparison, Measured
from sealift.model.codec import from_json
from sealift.provision.everything import Provided
from sealift.tools.layout import Layout
from tests.rehearsal.playing import Desk, Said

pytestmark = pytest.mark.programs
STARTS = 2
OURS = ("static", "base")


@dataclass(frozen=True)
class Compared:
    """A clone in which the verb ran, what it said, and the page as it was."""

    desk: Desk
    said: Said
    page_before: str
    result: Comparison

    @property
    def page(self) -> str:
        return (self.desk.folder / PAGE).read_text(encoding="utf-8")

    def written(self, ending: str) -> str:
        return (self.desk.folder / "docs" / "compare" / f"comparison.{ending}").read_text(encoding="utf-8")

    def kinds(self) -> tuple[Measured, Measured, Measured]:
        """Return static, base, and a whole Debian."""
        found = self.result.measured
        return found["static"], found["base"], found["debian"]


@pytest.fixture(scope="module")
def compared(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    assert provided.programs
    desk = Desk.set_up(tmp_path_factory.mktemp("compare") / "clone")
    assert not (desk.folder / "build").exists()
    before = (desk.folder / PAGE).read_text(encoding="utf-8")
    said = desk.sealift("compare", f"--starts={STARTS}", "--json")
    assert said.status == 0, said.stderr
    return Compared(desk, said, before, from_json(said.stdout.encode(), Comparison, source="stdout"))


def test_it_builds_what_is_not_there_and_measures_those_very_images(compared: Compared) -> None:
    assert "building them" in compared.said.stderr
    assert compared.result.commit == compared.desk.git("rev-parse", "HEAD").strip()
    for name in OURS:
        layout = Layout(compared.desk.latest / "images" / name)
        built = layout.platforms(layout.index())[this_platform()]
        assert compared.result.measured[name].digest == built


def test_every_kind_is_measured_or_said_not_to_be(compared: Compared) -> None:
    assert {kind.kind for kind in compared.result.kinds} == set(TITLES)
    assert set(compared.result.measured) >= {"static", "base", "debian"}
    assert date.fromisoformat(compared.result.date) <= datetime.now(UTC).date()
    for kind in compared.result.measured.values():
        assert len(kind.running.starts) == STARTS
        assert 0.02 < kind.start < 30
        # A Go program's; the cgroup is charged with less, as the binary's pages are the kernel's.
        assert 3_000_000 < kind.rss < 100_000_000
        assert 500_000 < kind.cgroup < 100_000_000
        assert kind.requests_per_second > 50


def test_a_whole_system_is_larger_and_has_what_distroless_leaves_out(compared: Compared) -> None:
    static, base, debian = (kind.contents for kind in compared.kinds())
    assert static.base.unpacked < base.base.unpacked < debian.base.unpacked
    assert static.total.compressed < base.total.compressed < debian.total.compressed
    assert static.files < base.files < debian.files
    assert static.packages < base.packages < debian.packages
    for kind in (static, base, debian):
        assert kind.total.compressed < kind.total.unpacked
        assert 5_000_000 < kind.total.unpacked - kind.base.unpacked < 30_000_000
    for ours in (static, base):
        assert (ours.programs, ours.setuid, ours.shells, ours.package_managers) == (1, 0, (), ())
    assert debian.programs > 100
    assert debian.setuid > 0
    assert {"sh", "bash"} <= set(debian.shells)
    assert {"apt", "dpkg"} <= set(debian.package_managers)


def test_table_json_and_picture_are_written_and_the_page_shows_the_table(compared: Compared) -> None:
    assert from_json(compared.written("json").encode(), Comparison, source="json") == compared.result
    table, picture = compared.written("md"), ET.fromstring(compared.written("svg"))  # noqa: S314 - our own
    assert picture.tag.endswith("}svg")
    drawn = "".join(picture.itertext())
    for name in ("static", "base", "debian"):
        assert TITLES[name] in table
        assert TITLES[name] in drawn
    assert [row for row, _ in ROWS if f"| {row} |" not in table] == []
    before, _, rest = compared.page_before.partition(BEGIN)
    after = rest.partition(END)[2]
    assert compared.page == f"{before}{BEGIN}\n{table}{END}{after}"


def test_again_it_takes_the_images_that_are_there(compared: Compared) -> None:
    out = compared.desk.folder / "build" / "again"
    again = compared.desk.sealift("compare", "--starts=1", f"--out={out}", "--json")
    assert again.status == 0, again.stderr
    assert "building them" not in again.stderr
    found = from_json(again.stdout.encode(), Comparison, source="stdout").measured
    for name in OURS:
        assert found[name].digest == compared.result.measured[name].digest
        assert found[name].contents == compared.result.measured[name].contents

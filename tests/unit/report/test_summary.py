"""The report as Markdown."""

from __future__ import annotations

import msgspec

from sealift.model.evidence import BuiltPlatform, Gate, SignedEntry
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.policy import Change, Changes, Weaker
from sealift.report.collect import Made, Report, ReportedImage
from sealift.report.summary import markdown

DIGEST = Digest("sha256:" + "ab" * 32)
REPORT = Report(
    version=Version.parse("1.2.3"),
    commit="c" * 40,
    world="rehearsal",
    outcome="refused",
    stand_ins=("a stand-in",),
    cannot_show=("an outage",),
    exceptions=("base debian12: kept",),
    weaker=(Weaker(key="image.user", value="0:0", default="65532:65532", why="root"),),
    policy=Changes(since="1.2.2", changes=(Change(key="image.user", before="65532:65532", now="0:0"),)),
    left_out=("README.md",),
    images={
        "static": ReportedImage(
            repository=Repository("localhost:5000/service"),
            digest=DIGEST,
            tags=(Tag("1.2.3"),),
            platforms={
                "linux/amd64": BuiltPlatform(digest=DIGEST, binary_sha256="ab" * 32, compressed_bytes=1234567)
            },
        )
    },
    gates=(
        Gate(station="prove", subject="static/linux/amd64", verdict="pass", detail="machine: amd64"),
        Gate(station="scan", subject="static/linux/amd64", verdict="refused", detail="HIGH CVE-2024-1"),
    ),
    signatures=(SignedEntry(subject="s", predicate_type="t", predicate=DIGEST, made=True),),
    programs=(),
    release_url="",
    seconds=12.34,
    made=Made(signatures=1, assets=3, tags=8),
)


def test_a_weaker_policy_is_named_and_what_changed_of_it() -> None:
    text = markdown(REPORT)
    assert "## Weaker than the default\n\n- `image.user: 0:0 (default 65532:65532): root`\n" in text
    assert "## Policy since 1.2.2\n\n- `image.user: 65532:65532 -> 0:0`\n" in text
    first = msgspec.structs.replace(REPORT, weaker=(), policy=Changes())
    assert "Weaker than" not in markdown(first)
    assert "## Policy since the last release\n\n- this is the first release" in markdown(first)


def test_every_heading_stands_alone() -> None:
    lines = markdown(REPORT).splitlines()
    assert lines[0] == "# refused: 1.2.3 (rehearsal)"
    for number, line in enumerate(lines):
        if line.startswith("#"):
            assert number == 0 or not lines[number - 1]
            assert not lines[number + 1]


def test_what_was_refused_is_named_and_counted() -> None:
    text = markdown(REPORT)
    assert "- **refused** scan static/linux/amd64: HIGH CVE-2024-1" in text
    assert "| scan | 0 | 0 | 1 | 0 |" in text
    assert "| prove | 1 | 0 | 0 | 0 |" in text
    assert f"| linux/amd64 | `{DIGEST}` | 1.23 MB |" in text


def test_what_this_run_has_added_is_counted() -> None:
    text = markdown(REPORT)
    assert "1 in the registry, 1 made by this run." in text
    assert "It uploaded 3 assets and put 8 tags." in text
    assert not Made()
    assert Made(published=True)


def test_a_table_is_in_one_piece() -> None:
    lines = markdown(REPORT).splitlines()
    start = lines.index("| station | pass | excused | refused | not checked |")
    assert all(line.startswith("|") for line in lines[start : start + 4])


def test_what_a_reader_must_know_of_a_rehearsal() -> None:
    text = markdown(REPORT)
    for words in ("README.md", "a stand-in", "an outage", "base debian12: kept", "1 made by this run"):
        assert words in text

"""Paths for programs that read them in a text: quoted, or a link's, which is plain whatever it leads to."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from pathlib import Path

import pytest

from sealift import console, places
from sealift.errors import UsageError
from sealift.provision import venv
from sealift.provision.cache import cache_folder

ODD = (
    """Ünï cödé/My "Project"'s $HOME %20 -_x""",
    "Projects",
    "a:b,c@d=e;f",
    "q?h#a[b]*&{c}|~!",
    "back\\slash `x`",
    "0123456789" * 20,
)
# What any reference, address, list, shell and configuration reads as one word.
PLAIN = re.compile(r"(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)+")


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / str(request.param)
    folder.mkdir(parents=True)
    (folder / "file").write_text("here")
    return folder


@pytest.fixture
def own_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Places for links that are the test's own, the first ones of no use."""
    parents = [tmp_path / name for name in ("absent", "file", "theirs", "good")]
    parents[1].write_text("")
    for parent in parents[2:]:
        parent.mkdir()
    monkeypatch.setattr(places, "_PARENTS", tuple(map(str, parents)))
    return [parent / f"sealift-{os.getuid()}" for parent in parents]


def test_a_link_is_plain_and_leads_there_while_the_block_runs(odd: Path) -> None:
    for _ in range(50):  # its name is drawn
        with places.linked(odd) as link:
            assert PLAIN.fullmatch(str(link))
            assert (link / "file").read_text() == "here"
        assert not link.is_symlink()


def test_two_links_to_one_folder_are_two(tmp_path: Path) -> None:
    with places.linked(tmp_path) as one:
        with places.linked(tmp_path) as other:
            assert one != other
        assert one.is_dir()


def test_a_lasting_link_is_the_same_each_time_and_short(odd: Path) -> None:
    first = places.plain(odd, longest=46)
    assert first == places.plain(odd, longest=46)
    assert len(str(first)) <= 46
    assert re.fullmatch(r"[A-Za-z0-9/._-]+", str(first))
    assert (first / "file").read_text() == "here"


def test_a_lasting_link_is_made_again_where_it_was_lost(odd: Path) -> None:
    first = places.plain(odd, longest=46)
    first.unlink()
    first.symlink_to("/nonexistent")
    assert (places.plain(odd, longest=46) / "file").read_text() == "here"


def test_a_plain_and_short_path_stays_as_it_is(tmp_path: Path) -> None:
    assert places.plain(tmp_path) == tmp_path
    with places.plainly(tmp_path) as same:
        assert same == tmp_path


def test_an_odd_path_is_plain_in_the_block_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    with places.plainly(folder) as link:
        assert PLAIN.fullmatch(str(link))
        assert link.samefile(folder)
    assert not link.is_symlink()


def test_a_folder_for_links_that_is_not_ours_alone_is_not_used(own_links: list[Path]) -> None:
    _, _, theirs, good = own_links
    theirs.mkdir()
    theirs.chmod(0o777)
    with places.linked(Path("/")) as link:
        assert link.parent == good
        assert good.stat().st_mode & 0o777 == 0o700


def test_a_folder_for_links_that_is_a_link_is_not_used(own_links: list[Path], tmp_path: Path) -> None:
    _, _, theirs, good = own_links
    theirs.symlink_to(tmp_path)
    with places.linked(Path("/")) as link:
        assert link.parent == good


def test_no_folder_for_links_is_an_error_with_its_name(own_links: list[Path]) -> None:
    for folder in own_links[2:]:
        folder.write_text("")
    with pytest.raises(UsageError, match=f"sealift-{os.getuid()}"), places.linked(Path("/")):
        pass


@pytest.mark.parametrize("name", ODD)
def test_a_field_of_a_list_is_read_back(name: str) -> None:
    row = ",".join(["type=oci", places.csv_field(f"dest=/{name}"), "tar=false"])
    assert next(csv.reader(io.StringIO(row))) == ["type=oci", f"dest=/{name}", "tar=false"]


@pytest.mark.parametrize("name", ODD)
def test_a_word_of_a_shell_is_read_back(name: str) -> None:
    assert shlex.split(f"rm -r {places.shell_word(Path('/', name))}") == ["rm", "-r", f"/{name}"]


@pytest.mark.parametrize("name", ODD)
def test_every_readable_name_is_taken(name: str) -> None:
    assert places.readable(Path("/", name), "a checkout") == Path("/", name)


@pytest.mark.parametrize("name", ["two\nlines", "tab\there", os.fsdecode(b"latin-\xfc"), "git's \ufffd"])
def test_a_name_that_no_report_can_carry_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a checkout cannot be in") as caught:
        places.readable(Path("/", name), "a checkout")
    assert str(caught.value).isascii()


def test_a_cache_with_a_colon_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALIFT_CACHE", "/a:b/cache")
    with pytest.raises(UsageError, match="SEALIFT_CACHE") as caught:
        cache_folder()
    assert "'/a:b/cache'" in caught.value.happened
    assert "PATH" in caught.value.means


def test_what_a_stream_cannot_write_is_escaped_as_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    console.write_every_character()
    console.result('"Ü 😀 \udcff"')
    assert raw.getvalue() == b'"\\u00dc \\ud83d\\ude00 \\udcff"\n'


SCRIPT = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
sys.exit('"$0" "$@"')
"""


def scripts(environment: Path) -> Path:
    packages = environment / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "ours.pth").write_text(f"import something\n/opt/theirs\n{environment.parent / 'src'}")
    folder = environment / "bin"
    folder.mkdir(parents=True)
    (folder / "nox").write_text(SCRIPT.format(python=folder / "python3"))
    (folder / "nox").chmod(0o755)
    (folder / "readelf.py").write_text(f"#!{folder / 'python3.11'}\nprint('here')\n")
    (folder / "plain").write_text("#!/usr/bin/python3\nprint()\n")
    (folder / "program").write_bytes(b"\x7fELF\xff")
    (folder / "activate").write_text(f'VIRTUAL_ENV="{environment}"\nPATH="$VIRTUAL_ENV/bin"\n')
    (folder / "python").symlink_to("/usr/bin/python3")
    return folder


def test_scripts_find_their_python_beside_themselves(odd: Path) -> None:
    folder = scripts(odd / ".venv")
    venv.main(odd / ".venv")
    header, *rest = (folder / "nox").read_text().splitlines()
    assert header == "#!/bin/sh"
    assert str(odd) not in rest[0]
    assert rest[0] == """'''exec' "$(dirname -- "$(readlink -f -- "$0")")/python" "$0" "$@\""""
    assert rest[1:] == SCRIPT.splitlines()[2:]
    assert (folder / "nox").stat().st_mode & 0o777 == 0o755
    header, *rest = (folder / "readelf.py").read_text().splitlines()
    if header == "#!/bin/sh":
        assert rest[0] == """'''exec' "$(dirname -- "$(readlink -f -- "$0")")/python" "$0" "$@\""""
        assert rest[1:] == ["' '''", "print('here')"]
    else:
        assert len(header) <= 127
        assert header.split() == [f"#!{folder / 'python3.11'}"]
        assert rest == ["print('here')"]
    assert (folder / "plain").read_text() == "#!/usr/bin/python3\nprint()\n"
    assert (folder / "program").read_bytes() == b"\x7fELF\xff"
    assert (folder / "python").is_symlink()
    line = (folder / "activate").read_text().splitlines()[0]
    assert shlex.split(line) == [f"VIRTUAL_ENV={odd / '.venv'}"]


def test_the_source_is_found_by_a_path_from_the_packages(odd: Path) -> None:
    scripts(odd / ".venv")
    venv.main(odd / ".venv")
    (file,) = odd.rglob("*.pth")
    *others, ours = file.read_text().splitlines()
    assert others == ["import something", "/opt/theirs"]
    assert ours == "../../../../src"
    assert (file.parent / ours).resolve() == odd.resolve() / "src"


def test_repairing_an_environment_again_changes_nothing(odd: Path) -> None:
    def contents() -> dict[Path, bytes]:
        found = (odd / ".venv").rglob("*")
        return {path: path.read_bytes() for path in found if path.is_file() and not path.is_symlink()}

    scripts(odd / ".venv")
    venv.main(odd / ".venv")
    before = contents()
    venv.main(odd / ".venv")
    assert before == contents()

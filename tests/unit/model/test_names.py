from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.errors import UsageError
from sealift.model.names import Digest, Platform, Repository, Tag, Version


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_is_its_text(raw: bytes) -> None:
    digest = Digest("sha256:" + raw.hex())
    assert digest.hex == raw.hex()
    assert Digest(str(digest)) == digest


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "sha512:" + "a" * 64, "a" * 64])
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a digest"):
        Digest(text)


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [("ghcr.io/a/b-c", "ghcr.io", "a/b-c"), ("localhost:5000/x", "localhost:5000", "x")],
)
def test_a_repository_names_its_registry(text: str, host: str, path: str) -> None:
    assert (Repository(text).host, Repository(text).path) == (host, path)


@pytest.mark.parametrize("text", ["name", "ghcr.io/UPPER", "ghcr.io/", "ghcr.io/a:tag", "ghcr.io/a@x"])
def test_what_is_not_a_repository_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Repository(text)


def test_a_platform_reads_and_writes_as_go_does() -> None:
    assert str(Platform.parse("linux/arm64")) == "linux/arm64"
    with pytest.raises(UsageError, match="linux/amd64"):
        Platform.parse("linux")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("linux/ARM64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/aarch64 ", "linux/arm64"),
        ("ARM64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("linux", "linux/amd64"),
    ],
)
def test_a_platform_in_another_notation_is_refused_with_the_right_one(text: str, right: str) -> None:
    with pytest.raises(UsageError, match="not a platform") as refused:
        Platform.parse(text)
    assert refused.value.next_step == f"write it as {right}"


@pytest.mark.parametrize("tag", ["v1.2", "1.2", "release", "foo/v1.2.3", "2026.08.01", "v1.2.3_1", "V01.2.3"])
def test_the_spelling_that_is_advised_for_a_tag_releases_a_version(tag: str) -> None:
    with pytest.raises(UsageError, match="names no version") as refused:
        Version.of_tag(tag)
    Version.of_tag(refused.value.next_step.removeprefix("write it as "))


def test_a_login_before_a_host_is_not_shown() -> None:
    for text in ("me:hunter2@ghcr.io/me", "oci://me:hunter2@ghcr.io/me", "https://hunter2@ghcr.io/me"):
        with pytest.raises(UsageError, match=r"\*\*\*@ghcr\.io") as refused:
            Repository(text)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["1.2", "one", "v1", "1.2.3.4", "1.2.3+meta"])
def test_what_is_not_a_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Version.parse(text)


def test_a_release_moves_three_tags_and_a_prerelease_none() -> None:
    assert Version.parse("v1.2.3").moving_tags == (Tag("1.2"), Tag("1"), Tag("latest"))
    assert Version.parse("1.2.3-rc.1").moving_tags == ()


def test_versions_are_ordered_as_semver_says() -> None:
    assert Version.parse("1.2.3-rc.1") < Version.parse("1.2.3") < Version.parse("1.10.0")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v7", "linux/arm"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/riscv64/rva20u64", "linux/riscv64/rva20u64"),
    ],
)
def test_a_platform_has_one_name(text: str, name: str) -> None:
    assert Platform(text) == Platform.parse(name) == name
    assert Platform(text).slug == name.replace("/", "-")
    assert hash(Platform(text)) == hash(name)


def test_the_parts_of_a_platform() -> None:
    found = Platform.of_oci({"os": "linux", "architecture": "arm", "variant": "v6", "os.version": "1"})
    assert (found, found.os, found.arch, found.variant) == ("linux/arm/v6", "linux", "arm", "v6")
    assert Platform.of_oci({"os": "linux", "architecture": "arm64", "variant": ""}).variant == ""
    for wrong in ({}, {"os": "linux"}, {"os": "Linux", "architecture": "amd64"}):
        with pytest.raises(UsageError):
            Platform.of_oci(wrong)

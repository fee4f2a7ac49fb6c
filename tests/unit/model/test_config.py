from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model import codec, config
from sealift.model.names import Version

RELEASE = Path(__file__).parents[3] / "ci" / "release.yaml"


def test_our_own_configuration_is_read_and_comes_back_from_json() -> None:
    read = config.load(RELEASE)
    assert set(read.variants) == {"static", "base"}
    assert codec.from_json(codec.to_json(read), config.Config, source="test") == read


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ("    glibc:", "    glibcc:", ["unknown key glibcc", "perhaps you meant glibc", ":22:"]),
        ("suite:", "suit:", ["unknown key suit", "perhaps you meant suite", ":9:"]),
        ("linux/arm64", "linux/arm46", ["linux/arm46", "perhaps linux/arm64"]),
        ("linux/arm64", "linux/amd64", ["each platform once"]),
        ("linux/amd64", "linux", ["'linux' is not a platform"]),
        ("linux/arm64", "linux/arm/v6", ["linux/arm/v6 names a variant", "write it as linux/arm"]),
        ("linux/arm64", "linux/amd64/v1", ["each platform once"]),
        ("stop_seconds: 2", "stop_seconds: two", [":30:", "stop_seconds"]),
        ("service: health-caretaker", "service: [", ["not YAML"]),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, good: str, bad: str, says: list[str]) -> None:
    text = RELEASE.read_text()
    assert good in text
    path = tmp_path / "release.yaml"
    path.write_text(text.replace(good, bad))
    with pytest.raises(UsageError) as raised:
        config.load(path)
    for words in says:
        assert words in str(raised.value)


def test_a_missing_file_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        config.load(tmp_path / "none.yaml")


def told(text: str) -> str:
    with pytest.raises(UsageError) as raised:
        config.parse(text, Path("ci/release.yaml"))
    return str(raised.value)


def changed(old: str, new: str) -> str:
    text = RELEASE.read_text()
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "says", "right"),
    [
        (
            "registry: ghcr.io/sealift",
            "registry: https://ghcr.io/Sealift/",
            ":4: registry: ",
            "registry: ghcr.io/sealift",
        ),
        ("registry: ghcr.io/sealift", "registry: ghcr.io", ":4: registry: ", "registry: ghcr.io/sealift"),
        ("source: sealift/sealift", "source: https://github.com/a/b", ":3: source: ", "source: a/b"),
        (
            "    repository: health",
            "    repository: Health",
            ":13: variants.static.repository: ",
            "repository: health-caretaker",
        ),
        (
            "    repository: health",
            "    repository: ghcr.io/x/health",
            ":13: variants.static.repository: ",
            "repository: health-caretaker",
        ),
        (
            "repository: health-caretaker-base",
            "repository: health-caretaker",
            ":18: variants.base.repository: ",
            "health-caretaker-base",
        ),
        (
            'glibc: "2.36"',
            "glibc: 2.40",
            ":22: variants.base.glibc: a number where text is wanted: 2.40",
            'glibc: "2.40"',
        ),
        (
            '    glibc: "2.36"',
            "    # none",
            ":17: variants.base: the dynamic variant base has no glibc",
            'glibc: "2.36"',
        ),
        ('user: "65532:65532"', "user: 1000:10", ":27: image.user: a whole number", 'user: "1000:10"'),
        ("title: health-caretaker", "title: yes", ":24: image.title: ", 'title: "yes"'),
        ("title: health-caretaker", "title: 2026-12-01", ":24: image.title: a date", 'title: "2026-12-01"'),
        (
            "severities: [HIGH, CRITICAL]",
            "severities: [high]",
            ":31: gates.severities[0]: 'high'",
            "perhaps HIGH",
        ),
        (
            "severities: [HIGH, CRITICAL]",
            "severities: [HIGH, HIGH]",
            ":31: gates.severities: name each severity once",
            "",
        ),
        (
            "severities: [HIGH, CRITICAL]",
            "severities: []",
            ":31: gates.severities: there must be at least one",
            "",
        ),
        ("start_seconds: 30", "start_seconds: .inf", ":29: gates.start_seconds: '.inf' is out of range", ""),
        ("start_seconds: 30", "start_seconds: .nan", ":29: gates.start_seconds: '.nan' is out of range", ""),
        ("start_seconds: 30", "start_seconds: 0", ":29: gates.start_seconds: '0' is out of range", ""),
        (
            "start_seconds: 30",
            "start_seconds: '30'",
            ":29: gates.start_seconds: '30' is text",
            "start_seconds: 30",
        ),
        (
            "require_fix: true",
            "require_fix: 'yes'",
            ":32: gates.require_fix: 'yes' is text",
            "require_fix: true",
        ),
        (
            "require_fix: true",
            "require_fix: 1",
            ":32: gates.require_fix: a whole number where true or false",
            "",
        ),
        (
            "not_checked: refuse",
            "not_checked: no",
            ":33: gates.not_checked: 'no' is not one of refuse, allow",
            "",
        ),
        (
            "dockerfile: Dockerfile\n",
            "dockerfile: ..\\Dockerfile\n",
            ":14: variants.static.dockerfile: ",
            "src/",
        ),
        ("  static:\n", "  Static:\n", ":12: variants.Static: 'Static' is not a variant's name", ""),
        ("  static:\n", "  ../x:\n", ":12: variants.../x: '../x' is not a variant's name", ""),
        (
            "suite: debian12",
            "suite: debian12\nsuite: debian13",
            ":10: suite: the key is there twice, first in line 9",
            "keep one",
        ),
        ("suite: debian12", "suite: 2026-02-30", ":9: suite: 2026-02-30 cannot be read", ""),
        ("suite: debian12", "suite: &a [*a]", ":9: *a stands inside &a", ""),
        (
            "suite: debian12",
            "suite: debian12\nmoving_tags: latest",
            ":10: moving_tags: text where a list is wanted",
            "",
        ),
        (
            "suite: debian12",
            "suite: debian12\nmoving_tags: [Latest]",
            ":10: moving_tags[0]: 'Latest'",
            "perhaps latest",
        ),
        (
            "suite: debian12",
            "suite: debian12\ngithub: https://git.acme.test/",
            ":10: github: ",
            "github: git.acme.test",
        ),
        (
            "suite: debian12",
            "suite: debian12\nissuer: http://acme.test/",
            ":10: issuer: ",
            "issuer: https://acme.test",
        ),
        (
            "service: health-caretaker",
            "service: on",
            ":2: service: true or false where text is wanted: on",
            'service: "on"',
        ),
    ],
)
def test_a_value_is_held_against_its_grammar_when_it_is_read(
    old: str, new: str, says: str, right: str
) -> None:
    error = told(changed(old, new))
    assert f"ci/release.yaml{says}" in error
    assert right in error


def test_everything_that_is_wrong_is_named_at_once() -> None:
    text = changed("registry: ghcr.io/sealift", "registry: ghcr.io/Sealift").replace(
        "start_seconds: 30", "start_seconds: no"
    )
    error = told(text.replace("suite:", "suit:"))
    assert "ci/release.yaml:4: registry: 'ghcr.io/Sealift'" in error
    assert "; write registry: ghcr.io/sealift" in error
    assert "ci/release.yaml:9: unknown key suit; perhaps you meant suite" in error
    assert "ci/release.yaml:29: gates.start_seconds: true or false where a number is wanted" in error
    assert "suite is missing" not in error


def test_a_key_that_is_not_there_is_missed() -> None:
    assert "ci/release.yaml:28: gates: the key stop_seconds is missing" in told(
        changed("  stop_seconds: 2\n", "")
    )
    assert "ci/release.yaml:1: there is nothing in it" in told("")


def test_anchors_and_merged_keys_are_yaml() -> None:
    text = changed(
        "    base: static\n    linkage: static\n",
        "    <<: &same {base: static, linkage: dynamic}\n    linkage: static\n",
    )
    read = config.parse(text, RELEASE)
    assert (read.variants["static"].base, read.variants["static"].linkage) == ("static", "static")
    assert config.parse("\ufeff" + text.replace("\n", "\r\n"), RELEASE) == read


@pytest.mark.parametrize(
    ("setting", "moved"),
    [
        ("", ("1.2", "1", "latest")),
        ("moving_tags: []", ()),
        ("moving_tags: [latest, minor]", ("1.2", "latest")),
        ("moving_tags: [major]", ("1",)),
    ],
)
def test_the_tags_that_move_can_be_chosen(setting: str, moved: tuple[str, ...]) -> None:
    read = config.parse(f"{RELEASE.read_text()}{setting}\n", RELEASE)
    assert read.moved_by(Version.parse("1.2.3")) == moved
    assert read.moved_by(Version.parse("1.2.3-rc.1")) == ()


def test_where_the_source_is_decides_whose_tokens_count() -> None:
    text = RELEASE.read_text()
    assert config.parse(text, RELEASE).token_issuer == "https://token.actions.githubusercontent.com"
    own = config.parse(f"{text}github: git.acme.test\n", RELEASE)
    assert own.source_url == "https://git.acme.test/sealift/sealift"
    assert own.token_issuer == "https://git.acme.test/_services/token"
    issuer = "https://token.actions.githubusercontent.com/acme"
    assert config.parse(f"{text}issuer: {issuer}\n", RELEASE).token_issuer == issuer


def test_a_plan_of_another_job_is_held_against_the_same_grammar() -> None:
    good = codec.to_json(config.load(RELEASE))
    for old, new in ((b"ghcr.io/sealift", b"GHCR.io/sealift"), (b'"static": {', b'"../static": {')):
        assert old in good
        with pytest.raises(UsageError):
            codec.from_json(good.replace(old, new), config.Config, source="test")

"""Any text is shown as text, and nothing is printed past the place that does so."""

from __future__ import annotations

import ast
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.texts import encodable, markdown, one_line, shown
from tests.attacks.test_output import ACTS, CODE, LIVE
from tests.unit.test_imports import sources

# What else writes, and why it may: tables without markup whose cells are shown texts; logs of services, which
# are read by a person who asks for them; and words of our own at a signal.
WRITES = {
    ("sealift.console", "sys.stderr.write"),
    ("sealift.console", "sys.stdout.write"),
    ("sealift.report.terminal", "Console"),
    ("sealift.commands.doctor", "Console"),
    ("sealift.services.supervisor", "sys.stderr.write"),
    ("sealift.services.supervisor", "os.write"),
    ("sealift.rehearsal.issuer", "print"),
    ("sealift.__main__", "os.write"),
}
PARTS = st.sampled_from(
    [
        "::",
        "error",
        "##[",
        "##",
        "[",
        "\x1b[2J",
        "\r",
        "\n",
        " ",
        "\u3000",
        "\u200d",
        "\ufe0f",
        "\U0001f468",
        "é",
        "`",
        "|",
        "@a",
    ]
)
JOINS = "[\ufe0f\u0600-\u18af\u2190-\u2bff\ufb50-\ufefc\U0001f000-\U0001faff]"
FLAG = "(?<=\U0001f3f4)[\U000e0020-\U000e007e]+\U000e007f"
TEXTS = st.text() | st.lists(PARTS | st.characters(codec=None), max_size=12).map("".join)


def writes(text: str) -> set[str]:
    """Name what a module writes to a terminal or log with."""
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)}
    return calls & {
        *(
            "print",
            "sys.stdout.write",
            "sys.stderr.write",
            "os.write",
            "typer.echo",
            "typer.secho",
            "click.echo",
        ),
        *("sys.stdout.buffer.write", "sys.stderr.buffer.write", "Console", "rich.print", "warnings.warn"),
    }


def test_nothing_is_printed_past_the_console() -> None:
    assert {(module, call) for module, text in sources().items() for call in writes(text)} == WRITES
    assert writes("def f():\n    print('x')")


@given(TEXTS)
def test_a_text_does_nothing(text: str) -> None:
    once = shown(text)
    # Joiners between letters that need them, and in emoji, stay.
    assert not ACTS.search(re.sub(f"(?<={JOINS})[\u200c\u200d](?={JOINS})|{FLAG}", "", once))
    assert shown(once) == once
    assert "\n" not in one_line(text)


def test_no_character_that_is_not_seen_passes() -> None:
    seen = {
        *range(0x600, 0x606),
        0x6DD,
        0x70F,
        0x890,
        0x891,
        0x8E2,
        0x110BD,
        0x110CD,
        *range(0x13430, 0x13460),
    }
    hidden = [
        chr(point)
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and point not in seen
    ]
    passing = [c for c in hidden if shown(f"a{c}b") == f"a{c}b" and c not in "\t\n"]
    assert passing == []
    assert shown("\u0628\u061c\u0628") == "\u0628\\u061c\u0628"


@given(TEXTS)
def test_a_json_document_stays_the_same(text: str) -> None:
    document = json.dumps({encodable(text): [encodable(text)]}, ensure_ascii=False, indent=1)
    assert json.loads(shown(document)) == json.loads(document)


@given(TEXTS)
def test_markdown_sees_nothing_but_words_and_code(text: str) -> None:
    made = markdown(text)
    assert not LIVE.search(CODE.sub("", made)), made
    assert "|" not in made
    assert "\n" not in made


@pytest.mark.parametrize("text", ["`", "``", "a`", "`a", "``a`b```", "\\`", "a\\", " ", ""])
def test_code_ends_where_the_text_does(text: str) -> None:
    assert CODE.fullmatch(markdown(f"@{text}"))
    assert CODE.fullmatch(markdown(f"{text}@"))

"""Any text is shown as text, and nothing is printed past the place that does so."""

from __future__ import annotations

import ast
import json

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
    assert not ACTS.search(once)
    assert shown(once) == once
    assert not ACTS.search(one_line(text))
    assert "\n" not in one_line(text)


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

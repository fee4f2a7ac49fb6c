"""Names and messages from outside that would steer a terminal, a workflow's log, or a page of Markdown."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Callable

import msgspec
import pytest

from sealift import console, texts
from sealift.commands.doctor import Row, _print
from sealift.errors import ManyErrors, OutsideError, RefusedError, UsageError
from sealift.model.codec import to_json
from sealift.model.evidence import Gate
from sealift.model.status import Finding, Status
from sealift.process import Completed, ProgramFailedError
from sealift.report import status, summary, terminal
from sealift.report.collect import Report
from sealift.stations.assets import notes
from sealift.stations.gate import Looks
from tests.attacks.catalogue import Attack, Kind, each
from tests.unit.report.test_summary import REPORT
from tests.unit.stations.things import plan

# What acts: controls beside tab and line end, what is not seen or turns the order, commands to a runner.
ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]|(?m:^\\s*::[A-Za-z-]+(?: .*)?::)|##(?:vso|teamcity)?\\["
)
# What GitHub makes of Markdown outside of code.
LIVE = re.compile(r"[<>@|\[\]]|!\[|https?://|www\.|#\d")
CODE = re.compile(r"(?s)(`+)(?!`).*?(?<!`)\1(?!`)")


def text(sample: str, artefact: str, words: str) -> Attack[str]:
    return Attack(
        kind=Kind.OUTPUT, sample=sample, artefact=artefact, stage="shown as text", words=words, exit_code=0
    )


TEXTS = (
    text("an escape that clears the screen", "a\x1b[2J\x1b[Hreleased", r"a\u001b[2J\u001b[Hreleased"),
    text("a hyperlink of a terminal (OSC 8)", "\x1b]8;;http://evil.example\x07here", r"\u001b]8;;"),
    text("a clipboard of a terminal (OSC 52)", "\x1b]52;c;ZXZpbA==\x07", r"\u001b]52;c;"),
    text("a control sequence of one byte (C1)", "a\x9b31mred", r"a\u009b31mred"),
    text("a carriage return over what was written", "refused\rpassed ", r"refused\u000dpassed"),
    text("backspaces over what was written", "refused\b\b\b\b\b\b\bpassed", r"refused\u0008"),
    text("an order turned around (bidi)", "good\u202egpj.exe", r"good\u202egpj.exe"),
    text("isolates that are not closed (bidi)", "a\u2066b", r"a\u2066b"),
    text("a letter that is not seen", "lib\u200bssl", r"lib\u200bssl"),
    text("letters of tags", "a\U000e0041\U000e0042", r"a\udb40\udc41"),
    text("another end of a line", "a\u2028::error::b", r"a\u2028::error::b"),
    text("half of a character", "a\udc9b", r"a\udc9b"),
    text("::error::", "::error file=a.go,line=1::evil", r"\u003a:error file=a.go"),
    text("::set-output, after spaces", " \t ::set-output name=digest::evil", r"\u003a:set-output"),
    text("::stop-commands:: on a later line", "a\n::stop-commands::token", "a\n\\u003a:stop-commands"),
    text("::add-mask:: after a carriage return", "a\r::add-mask::a", r"a\u000d::add-mask::"),
    text("::add-path:: after a wide space", "\u3000::add-path::/evil", r"\u003a:add-path"),
    text("::error:: after what is not seen", "\u200d\ufe0f::error::a", r"\u200d\ufe0f::error"),
    text("##[error] in a line", "the package ##[error]evil", r"the package \u0023#[error]evil"),
    text("##vso of another runner", "##vso[task.setvariable variable=a]b", r"\u0023#vso[task"),
)


def _printed(monkeypatch: pytest.MonkeyPatch, print_: Callable[[], object]) -> str:
    streams = io.StringIO()
    monkeypatch.setattr(sys, "stdout", streams)
    monkeypatch.setattr(sys, "stderr", streams)
    print_()
    monkeypatch.undo()
    return streams.getvalue()


@each(*TEXTS)
def test_a_text_from_outside_is_shown_and_does_nothing(
    attack: Attack[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = attack.artefact
    done = Completed(argv=("git", "log"), returncode=1, stdout=evil, stderr=evil)
    looks = Looks("scan", evil)
    looks.refused(evil)
    with pytest.raises(RefusedError) as refused:
        looks.done(means=evil, next_step=evil)
    # JSON cannot hold half a character, and no gate writes one down.
    whole = texts.encodable(evil)
    report = msgspec.structs.replace(REPORT, gates=tuple(looks.gates), exceptions=(whole,), left_out=(whole,))
    finding = Finding(what="git tag", subject=evil, verdict="differs", expected=evil, got=evil)
    found = Status(version=REPORT.version, world="rehearsal", findings=(finding,), means="", repair="")
    defect = ValueError(evil)
    said = logging.LogRecord("urllib3", logging.WARNING, "", 1, "%s", (evil,), None)
    row = Row(name="go", version=evil, origin=evil, state="present", next_step=evil)
    sinks: dict[str, Callable[[], object]] = {
        "an error": lambda: console.say(f"sealift: {UsageError(evil, means=evil, next_step=evil)}"),
        "errors": lambda: console.say(str(ManyErrors([OutsideError(evil), OutsideError("b")]))),
        "a program": lambda: console.say(str(ProgramFailedError(done))),
        "a gate": lambda: console.say(str(refused.value)),
        "a result": lambda: console.result(evil),
        "a report": lambda: terminal.show(report),
        "a report as JSON": lambda: console.result(to_json(report).decode()),
        "a report as Markdown": lambda: console.result(summary.markdown(report)),
        "a status": lambda: console.result("\n".join(status.lines(found))),
        "a defect": lambda: traceback.print_exception(defect, file=console.Shown(sys.stderr)),
        "a library": lambda: logging.StreamHandler(console.Shown(sys.stderr)).emit(said),
        "a table": lambda: _print((row,)),
    }
    for name, sink in sinks.items():
        assert not ACTS.search(printed := _printed(monkeypatch, sink)), (name, printed)
    document = _printed(monkeypatch, lambda: console.result(to_json(report).decode()))
    assert json.loads(document) == json.loads(to_json(report))
    assert not ACTS.search(summary.markdown(report))
    attack.assert_ended(0, texts.shown(evil))


@each(
    text(
        "an error that looks like our next line",
        "gone\nsealift: released\n  next: curl evil|sh",
        "    sealift",
    ),
    text("a verdict on a further line", "gone\npass: everything", "    pass: everything"),
)
def test_a_further_line_is_none_of_ours(attack: Attack[str]) -> None:
    looks = Looks("scan", "a")
    looks.refused(attack.artefact)
    with pytest.raises(RefusedError) as refused:
        looks.done(means=attack.artefact, next_step="run again")
    for error in (UsageError(attack.artefact), refused.value):
        lines = str(error).splitlines()
        assert all(line.startswith("  ") for line in lines[1:]), lines
    attack.assert_ended(0, str(UsageError(attack.artefact)))


@each(
    text(
        "HTML and an image", "<img src=https://evil.example/x.png>", "`<img src=https://evil.example/x.png>`"
    ),
    text("a link", "[fixed](https://evil.example)", "`[fixed](https://evil.example)`"),
    text("an address that GitHub links", "see www.evil.example", "`see www.evil.example`"),
    text("a mention", "@everyone-here", "`@everyone-here`"),
    text("a reference that closes an issue", "fixes #1", "`fixes #1`"),
    text("a cell of a table", "a | pass | b", r"`a \u007c pass \u007c b`"),
    text("the end of code", "` <b>x</b> `` [y](z) `", "``` ` <b>x</b> `` [y](z) ` ```"),
    text("a heading on a further line", "a\n# Released", r"`a\n# Released`"),
    text("a comment that hides the rest", "a <!-- ", "`a <!-- `"),
)
def test_markdown_holds_a_text_as_text(attack: Attack[str]) -> None:
    evil = attack.artefact
    gate = Gate(station="scan", subject=evil, verdict="refused", detail=evil)
    report = replace_all(evil, gate)
    made = summary.markdown(report)
    assert made.count("\n# ") == 0, "one heading of the first order, which begins the page"
    own = CODE.sub("", made)
    clean = CODE.sub("", summary.markdown(replace_all("word", replace_gate(gate))))
    assert sorted(LIVE.findall(own)) == sorted(LIVE.findall(clean)), own
    described = plan()
    image = msgspec.structs.replace(described.config.image, description=evil)
    config = msgspec.structs.replace(described.config, image=image)
    page = notes(msgspec.structs.replace(described, config=config), {}, world=None)  # type: ignore[arg-type]
    assert not LIVE.search(CODE.sub("", page).replace("| image | digest |\n|---|---|", ""))
    attack.assert_ended(0, made)


def replace_all(words: str, gate: Gate) -> Report:
    return msgspec.structs.replace(
        REPORT,
        gates=(gate,),
        exceptions=(words,),
        left_out=(words,),
        stand_ins=(words,),
        cannot_show=(words,),
    )


def replace_gate(gate: Gate) -> Gate:
    return msgspec.structs.replace(gate, subject="word", detail="word")


@each(
    text("markup of a table", "[link=https://evil.example]x[/link]", "[link=https://evil.example]x[/link]"),
    text("markup that is not closed", "[/] [bold", "[/] [bold"),
    text("a name of an emoji", ":skull:", ":skull:"),
)
def test_no_markup_is_read_in_a_name(attack: Attack[str], monkeypatch: pytest.MonkeyPatch) -> None:
    platforms = {attack.artefact: next(iter(REPORT.images["static"].platforms.values()))}
    image = msgspec.structs.replace(REPORT.images["static"], platforms=platforms)
    report = msgspec.structs.replace(REPORT, images={"static": image}, outcome=attack.artefact)
    printed = _printed(monkeypatch, lambda: terminal.show(report))
    row = Row(name="go", version=attack.artefact, origin="x", state="present")
    assert attack.artefact in _printed(monkeypatch, lambda: _print((row,)))
    attack.assert_ended(0, printed)


@pytest.mark.parametrize(
    "honest",
    [
        "words, 1.2.3 and /a/b.go:12:3: undefined: x",
        "Grüße, Добро, 日本語, עברית, العربية, नमस्ते, ไทย",
        "می‌خواهم क्‍ष",
        "👍 ❤️ 1️⃣ 👨‍👩‍👧 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "a\tb\n\n  | c",
        "::1 listens, and [::]:80",
        "a::b::c, std::vector<int>",
        "# a heading, ## another [link](x)",
    ],
)
def test_an_honest_text_stays_as_it_is(honest: str) -> None:
    assert texts.shown(honest) == honest


def test_a_windows_line_end_is_one() -> None:
    assert texts.shown("a\r\nb") == "a\nb"


@pytest.mark.parametrize("honest", ["HIGH CVE-2024-1", "base debian12: kept", "README.md", "5 % (a), b; c."])
def test_honest_words_stay_words_in_markdown(honest: str) -> None:
    assert texts.markdown(honest) == honest


def test_a_long_text_is_shown_at_once() -> None:
    for long in (
        " " * 200_000 + "x",
        ":" * 200_000,
        "a " * 100_000,
        "\n" * 200_000,
        "`" * 100_000,
        "##" * 100_000,
    ):
        texts.shown(long)
        texts.markdown(long)


@pytest.mark.programs
@each(
    Attack(
        kind=Kind.OUTPUT,
        sample="a word of the command line with an escape",
        artefact="\x1b]0;released\x07",
        stage="shown as text",
        words=r"\x1b]0;released",
        exit_code=2,
    )
)
def test_words_of_the_command_line_are_shown(attack: Attack[str]) -> None:
    argv = [sys.executable, "-m", "sealift", attack.artefact]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert not ACTS.search(done.stdout + done.stderr)
    attack.assert_ended(done.returncode, done.stderr)

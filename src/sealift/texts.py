r"""Text from outside (names, messages, titles) in a form that a terminal, a log or Markdown only shows.

    shown("a\x1b[2Jb")     # r'a\u001b[2Jb'
    markdown("@team")      # '`@team`'

What is escaped is written as JSON writes it, so a JSON document stays the same document.
"""

from __future__ import annotations

import re

# Kept: emoji of several characters, and joiners between letters of the scripts that need them (from Arabic to
# Mongolian).
_JOINED = (
    "\u0600-\u061b\u061d-\u115e\u1161-\u17b3\u17b6-\u180a\u1810-\u18af\u2190-\u2bff\ufb50-\ufdff\ufe70-\ufefc"
    "\U0001f000-\U0001faff"
)
_KEPT = (
    "[0-9#*]\ufe0f\u20e3"
    "|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    f"|[{_JOINED}][\ufe00-\ufe0f]?(?:[\u200c\u200d](?=[{_JOINED}]))?"
    "|[\xa9\xae\u203c\u2049\u2122\u2139\u3030\u303d\u3297\u3299\u3400-\u9fff][\ufe00-\ufe0f]"
)
# Controls; what a reader does not see (Default_Ignorable_Code_Point of Unicode) or sees in another order;
# line ends beside "\n"; and halves of a character, which no encoding can write.
_UNSEEN = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# A command to what reads a log: GitHub's runner takes "::name ...::" after any white space, and "##[name" and
# its relatives (Azure, TeamCity) anywhere in a line.
# https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
_SPACES = "[\t \xa0\u1680\u2000-\u200a\u202f\u205f\u3000]*"
_COMMAND = f"(?m:^(?P<space>{_SPACES}):(?=:[A-Za-z][A-Za-z-]*(?: .*)?::))|#(?=#(?:vso|teamcity)?\\[)"
_SHOWN = re.compile(f"(?P<kept>{_KEPT})|(?P<unseen>{_UNSEEN})|(?P<command>{_COMMAND})")
# Words and numbers that no reading of Markdown changes. "_" begins emphasis, ":" may begin an address, "#"
# and "@" name an issue and a person.
_PLAIN = re.compile(r"(?!\d+[.)](?: |$))\w[^\W_]*(?:(?:[ .,;()'\"/%=-]|: )+[^\W_]+)*[.;,)'\"%]?")
_ADDRESS = re.compile(r"\bwww\.|\b[a-f0-9]{7,40}\b|\bGH-\d")


def shown(text: str) -> str:
    """Return a text that does nothing to a terminal or a log; letters, tabs, line ends and emoji stay."""
    return _SHOWN.sub(_escaped, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return such a text without line ends: what stands below a line is then another line of ours."""
    return shown(text).replace("\n", "\\n")


def encodable(text: str) -> str:
    """Return a text that UTF-8 can write; a name that is not UTF-8 came with halves of characters."""
    return re.sub("[\ud800-\udfff]", lambda found: escape(found[0]), text)


def escape(text: str) -> str:
    """Write each character as JSON does: a backslash, ``u`` and 16 bits, twice for one that has more."""
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def markdown(text: str) -> str:
    """Return a text for one line or cell of Markdown: words as they are, all else as code.

    In code GitHub reads no link, image, HTML, mention or reference to an issue.
    """
    line = one_line(text)
    if _PLAIN.fullmatch(line) and not _ADDRESS.search(line):
        return line
    # A table ends a cell there also in code.
    line = line.replace("|", escape("|"))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") or not line.strip() else ""
    return f"{fence}{space}{line}{space}{fence}"


def _escaped(found: re.Match[str]) -> str:
    if found["kept"] is not None:
        return found[0]
    if found["unseen"] is not None:
        return escape(found[0])
    space = found["space"] or ""
    return f"{space}{escape(found[0][len(space) :])}"

"""A comparison as a picture: bars, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from sealift.compare.claims import MEGA, claimed, megabytes, milliseconds
from sealift.compare.values import Comparison, Measured, NotMeasured

WIDTH, LEFT, LABEL = 760, 190, 150
LINE, BAR, HEAD = 26, 16, 34
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .quiet { fill: #59636e }
  .page { fill: #ffffff } .base { fill: #8c959f } .ours { fill: #0969da }
  .said { fill: none; stroke: #59636e; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 } .page { fill: #0d1117 }
    .base { fill: #656c76 } .ours { fill: #4493f8 } .said { stroke: #9198a1 }
  }
"""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: ``below`` is the part of it that the base makes up; ``said`` when nobody measured."""

    label: str
    value: float
    text: str
    below: float = 0.0
    said: bool = False


@dataclass(frozen=True)
class Panel:
    """Some bars of one unit."""

    title: str
    bars: tuple[Bar, ...]

    @property
    def height(self) -> int:
        """How much of the page it takes."""
        return HEAD + LINE * len(self.bars) + 12


def svg(comparison: Comparison) -> str:
    """Draw sizes, start-up and memory."""
    panels = [
        Panel("Unpacked size: base (grey) and service", tuple(_sizes(comparison))),
        Panel("Compressed size: base (grey) and service", tuple(_compressed(comparison))),
        _panel(comparison, "Start to first good /healthz, median", lambda m: m.start, milliseconds),
        _panel(comparison, "Memory at rest, RSS", lambda m: m.rss, megabytes),
    ]
    height = sum(panel.height for panel in panels) + HEAD
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    spoken = escape(_spoken(panels), quote=True)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{spoken}">',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            *_drawn(panels),
            f'<text class="quiet" x="12" y="{height - 12}">{escape(_foot(comparison))}</text>',
            "</svg>",
            "",
        ]
    )


def _sizes(comparison: Comparison) -> Iterator[Bar]:
    for kind in comparison.kinds:
        if isinstance(kind, Measured):
            size, base = kind.contents.total.unpacked, kind.contents.base.unpacked
            yield Bar(label=kind.title, value=size, below=base, text=megabytes(size))
        elif said := claimed(kind.kind, "total"):
            yield _said(kind, said)


def _said(kind: NotMeasured, size: float) -> Bar:
    return Bar(label=kind.title, value=size * MEGA, text=f"{size:g} MB is said; not measured", said=True)


def _compressed(comparison: Comparison) -> Iterator[Bar]:
    for kind in comparison.measured.values():
        size, base = kind.contents.total.compressed, kind.contents.base.compressed
        yield Bar(label=kind.title, value=size, below=base, text=megabytes(size))


def _panel(
    comparison: Comparison, title: str, value: Callable[[Measured], float], text: Callable[[float], str]
) -> Panel:
    bars = [Bar(label=m.title, value=value(m), text=text(value(m))) for m in comparison.measured.values()]
    return Panel(title, tuple(bars))


def _drawn(panels: Sequence[Panel]) -> Iterator[str]:
    top = 0
    for panel in panels:
        yield f'<text class="title" x="12" y="{top + 22}">{escape(panel.title)}</text>'
        largest = max((bar.value for bar in panel.bars), default=0) or 1
        for row, bar in enumerate(panel.bars):
            yield from _bar(bar, top + HEAD + LINE * row, (WIDTH - LEFT - LABEL) / largest)
        top += panel.height


def _bar(bar: Bar, y: int, scale: float) -> Iterator[str]:
    width, below = bar.value * scale, bar.below * scale
    yield f'<text x="12" y="{y + 13}">{escape(bar.label)}</text>'
    if bar.said:
        yield f'<rect class="said" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}"/>'
    else:
        yield f'<rect class="base" x="{LEFT}" y="{y}" width="{below:.1f}" height="{BAR}"/>'
        yield (
            f'<rect class="ours" x="{LEFT + below:.1f}" y="{y}" width="{width - below:.1f}" height="{BAR}"/>'
        )
    yield f'<text class="quiet" x="{LEFT + width + 6:.1f}" y="{y + 13}">{escape(bar.text)}</text>'


def _spoken(panels: Sequence[Panel]) -> str:
    """Say the picture in words, for who cannot see it."""
    return " ".join(f"{p.title}: {', '.join(f'{b.label} {b.text}' for b in p.bars)}." for p in panels)


def _foot(comparison: Comparison) -> str:
    machine = comparison.machine
    return f"{comparison.date}, {comparison.platform}, {machine.processor}, {machine.engine}"

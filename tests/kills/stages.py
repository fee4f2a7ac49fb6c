"""What a release puts outside, step by step, and which step must be whole before another begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """One thing that comes to be outside. The values are the tables' words."""

    IMAGES = "images"
    SIGNATURES = "signatures"
    ASSETS = "assets"
    VERSION_TAGS = "version tags"
    PUBLISHED = "releases published"
    MOVING_TAGS = "moving tags"


# How much of each there is.
Out = Mapping[Stage, int]

# The draft, which nobody sees, is made beside the signatures.
_NEEDS: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.IMAGES: (),
    Stage.SIGNATURES: (Stage.IMAGES,),
    Stage.ASSETS: (Stage.IMAGES,),
    Stage.VERSION_TAGS: (Stage.SIGNATURES, Stage.ASSETS),
    Stage.PUBLISHED: (Stage.VERSION_TAGS,),
    Stage.MOVING_TAGS: (Stage.PUBLISHED,),
}


@dataclass(frozen=True)
class When:
    """The moment at which so many of something are outside, and not yet more than belongs to it."""

    stage: Stage
    count: int

    def __str__(self) -> str:
        return f"{self.count} of the {self.stage} out"

    def was_met(self, out: Out, whole: Out) -> bool:
        """Tell whether a release stood there: it had come that far, and not to the end of what follows."""
        if out[self.stage] < self.count:
            return False
        if self.count < whole[self.stage]:
            return out[self.stage] < whole[self.stage]
        following = [stage for stage, needs in _NEEDS.items() if self.stage in needs]
        return any(out[stage] < whole[stage] for stage in following)


def told(out: Out, whole: Out) -> str:
    """Say in words how much of everything is out."""
    if out == whole:
        return "everything"
    parts = [f"{count} of {whole[stage]} {stage}" for stage, count in out.items() if count]
    return ", ".join(parts) or "nothing"


def out_of_order(out: Out, whole: Out) -> Iterator[str]:
    """Say what was out before its time."""
    for stage, needs in _NEEDS.items():
        for need in needs if out[stage] else ():
            if out[need] < whole[need]:
                yield f"{out[stage]} {stage} with {out[need]} of {whole[need]} {need}"

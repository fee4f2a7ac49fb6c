"""Mutants of a small image. Each follows from its seed and number alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.attacks.damages import RANDOM, harmful
from tests.attacks.drafts import JSON, Draft, Tree, base_items, configuration_of, tree_of, written
from tests.attacks.mutations import HARMLESS
from tests.unit.stations.imaged import (
    PAX,
    Image,
    right_image,
)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """An image above its base, and what every reader must find in it where it is accepted.

    ``tree`` is none where a base was changed at random: it is the base's maker who answers for that.
    """

    number: int
    names: tuple[str, ...]
    image: Image
    base: Image
    tree: Tree | None
    configuration: JSON


def mutant(seed: int, number: int) -> Mutant:
    """Make one."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - a seed that can be written down
    draft = Draft(layers=[base_items()], forms=[PAX], settings=right_image().settings, steps=[])
    draft.arguments.append(f"MUTANT=n{number}")
    for name in rng.sample(sorted(HARMLESS), rng.randint(1, 4)):
        HARMLESS[name](rng, draft)
        draft.names.append(name)
    tree: Tree | None = tree_of(draft.layers)
    image, base = written(draft, rng)
    configuration = configuration_of(image)
    chance = rng.random()
    if chance < 0.2:
        name = rng.choice(sorted(RANDOM))
        RANDOM[name](rng, draft)
        tree = None if "base" in name else tree
    elif chance < 0.35:
        name, change = rng.choice(harmful())
        change(draft)
    else:
        return made(number, draft.names, image, base, tree, configuration)
    image, base = written(draft, rng)
    # What is in a layer is compared; its digest follows from it, however it is written.
    configuration |= {"rootfs": configuration_of(image)["rootfs"]}
    return made(number, [*draft.names, name], image, base, tree, configuration)


def made(
    number: int, names: list[str], image: Image, base: Image, tree: Tree | None, configuration: JSON
) -> Mutant:
    return Mutant(
        number=number, names=tuple(names), image=image, base=base, tree=tree, configuration=configuration
    )

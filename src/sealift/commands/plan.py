"""``sealift plan``: what would be released, as values. It needs git and nothing else."""

from __future__ import annotations

from sealift import console
from sealift.commands.opening import (
    Asked,
    DirtyOption,
    JsonOption,
    ProductionOption,
    VersionOption,
    checkout,
    planned,
)
from sealift.model.codec import to_json
from sealift.model.plan import Plan
from sealift.model.run import RunFolder


def command(
    *,
    version: VersionOption = None,
    dirty: DirtyOption = False,
    production: ProductionOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print what this checkout would release, and write it to the run folder."""
    root = checkout()
    plan = planned(root, Asked(version=version, dirty=dirty, production=production))
    run = RunFolder.open(root, plan)
    console.result(to_json(plan).decode().rstrip() if as_json else "\n".join(lines(plan)))
    console.say(f"written to {run.plan_file}")


def lines(plan: Plan) -> list[str]:
    """Describe a plan for people."""
    tags = ", ".join((plan.version.version_tag, *plan.moving_tags))
    told = [
        f"{plan.config.service} {plan.version} from commit {plan.commit}",
        f"tags: {tags}",
        f"bases: distroless on {plan.config.suite}",
    ]
    for name, variant in plan.config.variants.items():
        told.append(
            f"{name}: {plan.config.registry}/{variant.repository}, {variant.linkage}, {variant.dockerfile}"
        )
        told += [f"  {cell.platform}" for cell in plan.cells_of(name)]
    if plan.weaker:
        told += ["weaker than the default:", *(f"  {one}" for one in plan.weaker)]
    told += [f"policy since {plan.policy.since or 'the last release'}:"]
    told += [f"  {line}" for line in plan.policy.lines()]
    if plan.modified:
        told.append("with the changes of the working tree")
    if plan.left_out:
        told.append(f"left out, because the release is the commit: {', '.join(plan.left_out)}")
    return told

"""What was found, for people and for programs."""

from typing import Any

from maskrcnn_jax.data.check.split import CheckedSplit
from maskrcnn_jax.data.problems import Effect, Kind, Problem

# Of each kind of problem, for people.
_NUM_EXAMPLES = 3


def to_text(checked: CheckedSplit) -> str:
    """A table with the worst first, and a verdict at the end."""
    lines = [
        str(checked.annotation_file),
        f"{checked.num_images} images, {checked.num_objects} objects and {checked.num_crowds} "
        f"crowds of {checked.num_categories} categories; at most {checked.most_objects} objects "
        "in an image",
    ]
    for effect in Effect:
        kinds = {kind: found for kind, found in _by_kind(checked).items() if kind.effect is effect}
        if kinds:
            lines += ["", effect.value.capitalize()]
        for kind, found in kinds.items():
            examples = [f"{_place(problem, checked)}: {problem.text}" for problem in found]
            lines.append(f"{len(found):7d}  {kind.what}: {kind.treatment}")
            lines += [f"{'':13}{example}" for example in examples[:_NUM_EXAMPLES]]
            lines += [f"{'':13}..."] if len(examples) > _NUM_EXAMPLES else []
    return "\n".join([*lines, "", _verdict(checked)])


def to_json(checked: CheckedSplit) -> dict[str, Any]:
    """Every problem, in the same words."""
    return {
        **vars(checked),
        "annotation_file": str(checked.annotation_file),
        "stops_training": checked.stops_training,
        "problems": [
            {
                "kind": kind.name.lower(),
                "effect": kind.effect.name.lower(),
                "what": kind.what,
                "treatment": kind.treatment,
                "count": len(found),
                "found": [
                    {"where": _place(problem, checked), "text": problem.text} for problem in found
                ],
            }
            for kind, found in _by_kind(checked).items()
        ],
    }


def _by_kind(checked: CheckedSplit) -> dict[Kind, list[Problem]]:
    found = {kind: [] for kind in Kind}
    for problem in checked.problems:
        found[problem.kind].append(problem)
    return {kind: problems for kind, problems in found.items() if problems}


def _place(problem: Problem, checked: CheckedSplit) -> str:
    """The record; its file is the same for all."""
    file = str(checked.annotation_file)
    return problem.where.removeprefix(f"{file}: ").replace(file, "the file")


def _verdict(checked: CheckedSplit) -> str:
    if not checked.stops_training:
        return "Nothing here stops training."
    num = sum(problem.kind.effect is Effect.STOPS for problem in checked.problems)
    return f"Training refuses this split: {num} problem{'s' * (num > 1)} must be mended."

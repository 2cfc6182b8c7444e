"""Which part of the detector an operation belongs to, read off the name that JAX gives it.

Such a name is ``jit(step)/transpose(jvp(MaskRCNN.loss))/roi.loss/box_head/fc1/dot_general``:
modules of Flax name what they do, and what is done on the way back stands inside of ``transpose``.
"""

import re

OTHER = "(other)"

# How many names of nested modules make a part.
_DEPTH = 2
# The method of the detector inside of which all parts are, and a part, perhaps with its method.
_DETECTOR = re.compile(r"[A-Z]\w*\.\w+")
_MODULE = re.compile(r"(?P<name>[a-z][a-z0-9_]*)(\.\w+)?")
# What JAX puts between the modules.
_NO_MODULES = {
    *("body", "branch", "call", "checkpoint", "closed_call", "cond", "custom_jvp_call"),
    *("custom_vjp_call", "pjit", "rematted_computation", "scan", "shard_map", "while"),
}


def part_of(name: str) -> str:
    """For example ``backbone/res4``, or ``roi/box_head, backward``; ends with the operation."""
    scopes = name.split("/")[:-1]
    first = next((i for i, scope in enumerate(scopes) if _DETECTOR.search(scope)), len(scopes))
    modules: list[str] = []
    for scope in scopes[first + 1 :]:
        match = _MODULE.fullmatch(scope)
        is_new = match and match["name"] not in {*_NO_MODULES, *modules[-1:]}
        if match and is_new and not match["name"].startswith("branch_"):
            modules.append(match["name"])
    if not modules:
        return OTHER
    is_backward = any("transpose(" in scope for scope in scopes)
    return "/".join(modules[:_DEPTH]) + (", backward" if is_backward else "")

"""ImageNet backbones with their norms folded into the convolutions.

Such a file has ``NAME.weight`` (OIHW) and ``NAME.bias`` for every convolution, with torchvision's
names, and the classifier ``fc``, for which a detector has no place. A folded norm becomes a frozen
one that only adds the bias.
"""

from collections.abc import Mapping

import numpy as np

from maskrcnn_jax.convert.naming import CONV, Naming, Rule


def _rules() -> tuple[Rule, ...]:
    rules = [
        Rule("conv1.weight", "backbone/stem/conv/kernel", CONV),
        Rule("conv1.bias", "backbone/stem/norm/bias"),
    ]
    for stage in (2, 3, 4, 5):
        theirs, ours = f"layer{stage - 1}.{{block}}", f"backbone/res{stage}/block{{block}}"
        rules += [
            Rule(f"{theirs}.conv{{n}}.weight", f"{ours}/conv{{n}}/kernel", CONV),
            Rule(f"{theirs}.conv{{n}}.bias", f"{ours}/norm{{n}}/bias"),
            Rule(f"{theirs}.downsample.0.weight", f"{ours}/shortcut/kernel", CONV),
            Rule(f"{theirs}.downsample.0.bias", f"{ours}/shortcut_norm/bias"),
        ]
    return tuple(rules)


FOLDED_BACKBONE = Naming(
    system="ImageNet backbone with folded norms", rules=_rules(), ignored=(r"fc\.",)
)


def is_folded(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether a norm of a backbone's canonical ``tensors`` lacks its statistics."""
    norms = {name.rpartition("/")[0] for name in tensors if name.endswith("/bias")}
    return any(f"{norm}/var" not in tensors for norm in norms)


def unfolded(tensors: Mapping[str, np.ndarray], *, epsilon: float) -> dict[str, np.ndarray]:
    """Adds to a backbone's canonical ``tensors`` what norms lack of them: what does nothing."""
    added = {}
    for name, bias in tensors.items():
        module, _, leaf = name.rpartition("/")
        if leaf == "bias":
            for other, value in {"scale": 1.0, "mean": 0.0, "var": 1.0 - epsilon}.items():
                added[f"{module}/{other}"] = np.full(bias.shape, value, np.float32)
    return {**added, **tensors}

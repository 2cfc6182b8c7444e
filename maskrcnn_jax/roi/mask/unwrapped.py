"""The mask heads that predict masks; those of ``scoring`` wrap one of them.

Add the config of a new head of the package here. A head that lives elsewhere needs no line here.
"""

import abc
from typing import Any, ClassVar, TypeAlias

from maskrcnn_jax.roi.mask.boundary import BoundaryMaskHeadConfig
from maskrcnn_jax.roi.mask.dynamic import DynamicMaskHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig


class MaskHeadConfig(abc.ABC):
    """What the config of a mask head outside of the package is derived from: a frozen dataclass.

    A checkpoint calls it by the name of its class, and finds it once the class has been imported.
    ``targets`` is what its masks learn, for a judge of them (``scoring``); a head with others
    has a field of that name.
    """

    targets: ClassVar[MaskTargetConfig] = MaskTargetConfig()

    @abc.abstractmethod
    def build(self, num_classes: int) -> Any:
        """A Linen module with the verbs of a mask head, ``loss`` and ``predict``."""


UnwrappedMaskHeadConfig: TypeAlias = (
    FCNMaskHeadConfig
    | BoundaryMaskHeadConfig
    | DynamicMaskHeadConfig
    | PointRendMaskHeadConfig
    | MaskHeadConfig
)

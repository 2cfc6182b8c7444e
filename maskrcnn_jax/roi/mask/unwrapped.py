"""The mask heads that predict masks; those of ``scoring`` wrap one of them.

Add the config of a new head here.
"""

from typing import TypeAlias

from maskrcnn_jax.roi.mask.boundary import BoundaryMaskHeadConfig
from maskrcnn_jax.roi.mask.dynamic import DynamicMaskHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig

UnwrappedMaskHeadConfig: TypeAlias = (
    FCNMaskHeadConfig | BoundaryMaskHeadConfig | DynamicMaskHeadConfig | PointRendMaskHeadConfig
)

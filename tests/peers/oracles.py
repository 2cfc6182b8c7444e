"""RoIAlign from its definition, one axis after the other.

A cell's value is the mean over its samples in y and in x of bilinear readings; both the mean and
the reading are a product over the axes. So the whole of it is ``rows @ feature map @ columns.T``.
"""

import math

import numpy as np


def roi_align(feature_map, box, *, output_size, samples_per_cell, half_pixel):
    """[o, o, c] from a map [h, w, c]; ``samples_per_cell`` None is one per started pixel."""
    start, size = np.array(box[:2], float), np.array(box[2:], float) - box[:2]
    start, size = (start - 0.5, size) if half_pixel else (start, np.maximum(size, 1))
    columns, rows = (
        _axis_weights(
            start[axis],
            size[axis] / output_size,
            length=feature_map.shape[1 - axis],
            cells=output_size,
            samples=samples_per_cell,
        )
        for axis in (0, 1)
    )
    return np.einsum("ih,hwc,jw->ijc", rows, np.asarray(feature_map, float), columns)


def _axis_weights(start, side, *, length, cells, samples):
    """[cells, length]: how much of each pixel is in each cell."""
    samples = math.ceil(side) if samples is None else samples
    weights = np.zeros((cells, length))
    for cell in range(cells):
        for sample in range(samples):
            position = start + (cell + (sample + 0.5) / samples) * side
            if -1 <= position <= length:
                position = min(max(position, 0), length - 1)
                low = math.floor(position)
                weights[cell, low] += (low + 1 - position) / samples
                weights[cell, min(low + 1, length - 1)] += (position - low) / samples
    return weights

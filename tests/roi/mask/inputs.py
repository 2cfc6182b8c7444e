"""What mask heads are given in tests: random features, positives and detections of two images."""

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.structures import Detections, Samples
from tests import tiny


def random_inputs(seed, count=6):
    """Features of 16 channels, positives of which some are not valid, and their objects."""
    rng = np.random.default_rng(seed)
    features = {
        level: jnp.asarray(rng.normal(size=(2, 64 >> level, 96 >> level, 16)), jnp.float32)
        for level in (2, 3, 4, 5)
    }
    truth = jax.tree.map(lambda *x: jnp.stack(x), *[tiny.random_truth(rng, 3) for _ in range(2)])
    matched = rng.integers(0, 3, (2, count))
    positives = Samples(
        boxes=jnp.asarray(np.stack([truth.boxes[i, matched[i]] + 1.5 for i in range(2)])),
        labels=jnp.asarray(np.stack([truth.labels[i, matched[i]] for i in range(2)])),
        matched=jnp.asarray(matched),
        valid=jnp.arange(count) < jnp.asarray([[count - 1], [2]]),
    )
    return features, positives, truth


def with_garbage(positives):
    """The same positives; those that are not valid hold nonsense."""
    valid = positives.valid
    return Samples(
        boxes=jnp.where(valid[..., None], positives.boxes, jnp.nan),
        labels=jnp.where(valid, positives.labels, -(2**30)),
        matched=jnp.where(valid, positives.matched, 4),
        valid=valid,
    )


def detections_of(samples):
    """Detections that are where the samples are."""
    return Detections(
        boxes=samples.boxes,
        scores=jnp.ones(samples.labels.shape),
        labels=samples.labels,
        masks=jnp.zeros((*samples.labels.shape, 0, 0)),
        mask_frames=samples.boxes,
        mask_scores=jnp.ones(samples.labels.shape),
        valid=samples.valid,
    )

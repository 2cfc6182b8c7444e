"""Inputs of RoI heads of several stages, and what boxes go through in a stage, box by box."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.structures import Proposals
from tests import tiny

K = tiny.NUM_CLASSES
SIZES = jnp.asarray([[64, 96], [50, 80]])
NUM_PROPOSALS = 20


def random_inputs(seed):
    """Features, proposals of which the last five are not valid, and objects."""
    rng = np.random.default_rng(seed)
    features = {
        level: jnp.asarray(rng.normal(size=(2, 64 >> level, 96 >> level, 16)), jnp.float32)
        for level in (2, 3, 4, 5)
    }
    truth = tiny.random_batch(seed, sizes=[(64, 96), (50, 80)]).ground_truth
    boxes = tiny.random_boxes(rng, 2 * NUM_PROPOSALS, size=(50, 80)).reshape(2, NUM_PROPOSALS, 4)
    near = rng.uniform(-5, 5, (2, 6, 4)) + np.asarray(truth.boxes)[:, [0, 1, 0, 1, 0, 1]]
    boxes[:, :6] = np.clip(near, 0, [80, 50, 80, 50])
    boxes[1, 6] = [82, 10, 94, 40]  # beyond the real pixels: clipping leaves nothing of it
    proposals = Proposals(
        boxes=jnp.asarray(boxes),
        scores=jnp.zeros((2, NUM_PROPOSALS)),
        valid=jnp.broadcast_to(jnp.arange(NUM_PROPOSALS) < NUM_PROPOSALS - 5, (2, NUM_PROPOSALS)),
    )
    return features, proposals, truth


def with_garbage(proposals, garbage):
    return dataclasses.replace(
        proposals,
        boxes=jnp.where(proposals.valid[..., None], proposals.boxes, garbage),
        scores=jnp.where(proposals.valid, proposals.scores, garbage),
    )


def nothing_of(x, images=(0, 1)):
    """Without anything valid in some images."""
    gone = jnp.isin(jnp.arange(2), jnp.asarray(images))
    return dataclasses.replace(x, valid=x.valid & ~gone[:, None])


def only_valid(x):
    return jax.tree.map(lambda values: np.asarray(values)[np.asarray(x.valid)], x)


def centre_and_size(box):
    size = box[2:] - box[:2]
    return box[:2] + size / 2, size


def slow_refine(box, delta, weights, image_size):
    centre, size = centre_and_size(box)
    delta = delta / np.asarray(weights)
    centre = centre + delta[:2] * size
    size = size * np.exp(np.minimum(delta[2:], np.log(1000 / 16)))
    height, width = image_size
    refined = np.concatenate([centre - size / 2, centre + size / 2])
    return np.clip(refined, 0, [width, height, width, height]).astype(np.float32)


def slow_box_loss(box, delta, wanted, config):
    (centre, size), (wanted_centre, wanted_size) = centre_and_size(box), centre_and_size(wanted)
    target = np.concatenate([(wanted_centre - centre) / size, np.log(wanted_size / size)])
    error = np.abs(delta - target * np.asarray(config.box_weights))
    beta = config.smooth_l1_beta
    return np.where(error < beta, error**2 / (2 * beta or 1), error - beta / 2).sum()


def slow_iou(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = np.prod(np.maximum(sides, 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def slow_match(box, objects, stage):
    """The object with which a box overlaps most, and whether that is enough."""
    overlaps = [slow_iou(box, other) for other in objects]
    best = int(np.argmax(overlaps))
    return best, overlaps[best] >= stage.sampling.positive_from


def slow_box_stage(boxes, logits, deltas, truth, stage, image_size):
    """Sums of the class and the box loss of a stage, and its refined boxes.

    Of each refined box that has an area also whether it was an object's own before.
    """
    class_loss, box_loss, refined, objects = 0.0, 0.0, [], list(truth.boxes)
    for box, logit, delta in zip(boxes, logits, deltas, strict=True):
        best, positive = slow_match(box, objects, stage)
        label = truth.labels[best] if positive else K
        class_loss += np.log(np.exp(logit).sum()) - logit[label]
        if positive:
            box_loss += slow_box_loss(box, delta, objects[best], stage.box)
        after = slow_refine(box, delta, stage.box.box_weights, image_size)
        if (after[2:] > after[:2]).all():
            refined.append((after, any((box == other).all() for other in objects)))
    return stage.loss_weight * class_loss, stage.loss_weight * box_loss, refined

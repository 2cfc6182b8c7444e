"""A walk through Mask R-CNN, stage by stage: ``make walkthrough``, or cell by cell in an editor.

Reads ``runs/demo``, which ``make demo`` writes, and draws what every stage makes of an image. The
cells (``# %%``) are those of VS Code, PyCharm, Spyder and of Jupyter with jupytext; all is found
from the root of the repository (in a notebook: ``%cd ..``). ``docs/walkthrough.md`` is this file
with what it prints and draws. WORKDIR, IMAGE and OUT in the environment choose another detector,
image and folder for the pictures.
"""

# %% [markdown]
# # A walk through Mask R-CNN
#
# An image goes in, objects with their masks come out. In between are nine stages, and each is a
# function that can be called by itself. Here they are called one after the other, with the small
# detector that `make demo` has trained on procedural shapes for five minutes, and what comes out
# of each is printed and drawn. At the end stands the check that the stages together are
# `predict`.
#
# `make walkthrough` runs all this and writes this page. What is printed and drawn here is from a
# detector trained on 2 CPU cores on 2026-11-26.

# %%
import functools
import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from examples import pictures
from maskrcnn_jax.data.image_views import NO_AUGMENTATION, fitting_size, views
from maskrcnn_jax.data.images import read_image
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import in_original_frame
from maskrcnn_jax.evaluation.rle import DecodedMasks
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.paste import paste_masks
from maskrcnn_jax.ops.sampling_grid import fixed_taps
from maskrcnn_jax.pixels import normalize
from maskrcnn_jax.roi.detections import decode_boxes, detect
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig, with_masks
from maskrcnn_jax.roi.mask.losses import select_class
from maskrcnn_jax.roi.pooling import RoIAlignConfig, assign_levels, pool
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.rpn.anchors import pyramid_anchors
from maskrcnn_jax.rpn.proposals import BOX_WEIGHTS, propose
from maskrcnn_jax.training.checkpoint import load_trained
from maskrcnn_jax.visualization import draw_detections

WORKDIR = Path(os.environ.get("WORKDIR", "runs/demo"))
IMAGE = Path(os.environ.get("IMAGE", WORKDIR / "images/val/000008.png"))
OUT = Path(os.environ.get("OUT", WORKDIR / "walkthrough"))
FOLLOWED = 3  # of the proposals, best first; another number follows another object

run, variables = load_trained(WORKDIR)
config, names = run.config.model, [category.name for category in run.categories]
match config:
    case MaskRCNNConfig(
        roi=StandardRoIHeadConfig(
            pooling=RoIAlignConfig() as pooling, mask=FCNMaskHeadConfig() as mask_config
        ) as roi_config
    ):
        model = config.build()
    case _:
        raise InputError(f"{WORKDIR}: this is a walk through a plain Mask R-CNN with RoIAlign")


def compiled(function, *arguments, **options):
    """What one compiled program makes of the arguments, as numpy arrays."""
    program = jax.jit(functools.partial(function, **options))
    return jax.device_get(program(*arguments))


def stage(part, *arguments):
    """As ``compiled``, for a part of the detector with its weights: ``part`` picks it out."""
    return compiled(model.apply, variables, *arguments, method=part)


show = functools.partial(pictures.write, folder=OUT)

# %% [markdown]
# ## 1. From a file to the network's input
#
# A batch holds images of one padded size, so that each size is compiled once. The image is
# resized and put at the top left; `sizes` says how far its real pixels go. (This one is cut on
# the right, so that there is padding to see.) Pixels travel as uint8. On the device each channel
# has the mean of the ImageNet images taken away and is divided by their standard deviation; the
# padding becomes 0.

# %%
image = read_image(IMAGE)
image = image[:, : math.ceil(image.shape[1] * 7 / 8)]
padded_size = fitting_size(image, run.config.input, name=str(IMAGE))
[example] = views(image, run.config.input, NO_AUGMENTATION, padded_size=padded_size, index=0)
batch = jax.tree.map(lambda x: x[None], example)
pixels = compiled(normalize, batch.images, batch.sizes, config=config.pixels)
size, seen = batch.sizes[0], batch.images[0]

print(f"image   {image.shape} {image.dtype}, 0 to 255")
print(f"batch   {batch.images.shape} {batch.images.dtype}, sizes {batch.sizes.tolist()}")
print(f"pixels  {pixels.shape} {pixels.dtype}, {pixels.min():.2f} to {pixels.max():.2f}")
show(pictures.network_input(image, pixels[0], size=size), "input")

# %% [markdown]
# ## 2. Backbone and feature pyramid
#
# A ResNet turns the image into maps of strides 4 to 32: a cell of level `l` stands for `2**l`
# pixels of the input in each direction. Its finest map knows edges but no objects, its coarsest
# the reverse. The pyramid (FPN) adds the coarse ones to the finer ones from the top down, so that
# all know about objects, and gives all the same number of channels. Large objects are then looked
# for on coarse levels and small ones on fine levels, by the same head.
#
# Drawn is the length of the vector of channels in each cell.

# %%
features = stage(
    lambda detector, x: detector.neck(detector.backbone(x)), pixels.astype(config.precision)
)

for level, x in features.items():
    print(f"P{level}  stride {2**level:2}  {x.shape}  (image, row, column, channel)")
show(pictures.pyramid(seen, features, size=size), "pyramid")

# %% [markdown]
# ## 3. Anchors
#
# The region proposal network does not predict boxes from nothing: it corrects reference boxes.
# Every cell of every level has three of them, of equal area and with a height of .5, 1 and 2
# times the width, centred on the cell's top left corner. The area grows with the stride. They
# depend on nothing but the size of the input, and are made while the program is compiled. Boxes
# are XYXY everywhere, in pixels of the padded input, and continuous: pixel `i` covers `[i, i+1]`.

# %%
cells = {level: (x.shape[1], x.shape[2]) for level, x in features.items()}
anchors = pyramid_anchors(config.rpn.anchors, cells)

for level, boxes in anchors.items():
    side = math.sqrt(np.prod(boxes[0, 2:] - boxes[0, :2]))
    print(f"P{level}  {cells[level]} cells, {len(boxes):4} anchors of {side:.0f}² pixels")
print(f"together {sum(map(len, anchors.values()))}")
show(pictures.anchors(seen, anchors, cells=cells, config=config.rpn.anchors), "anchors")

# %% [markdown]
# ## 4. Objectness
#
# One small convolutional head looks at all levels and says two things about every anchor: a logit
# of whether it covers an object of whatever class, and four numbers that move and stretch it
# (below). Drawn is the probability of the best anchor of each cell, on the level that it belongs
# to.

# %%
logits, deltas = stage(lambda detector, x: detector.rpn.head(x), features)

for level in logits:
    best = 1 / (1 + np.exp(-logits[level].max()))
    print(f"P{level}  logits {logits[level].shape}  deltas {deltas[level].shape}  best {best:.3f}")
show(pictures.objectness(seen, logits, cells=cells), "objectness")

# %% [markdown]
# ## 5. Proposals
#
# The four numbers `(dx, dy, dw, dh)` take an anchor to a box: its centre moves by `dx` widths and
# `dy` heights, its sides are multiplied by `exp(dw)` and `exp(dh)`. The best boxes of each level
# are corrected so and clipped to the real part of the image. Many are near copies of each other.
# Non-maximum suppression keeps the best one and drops all that overlap it by more than 0.7, then
# goes on to the next that is left. The number of proposals is fixed, and `valid` says which are
# real: all shapes are known when the program is compiled.

# %%
first = functools.partial(jax.tree.map, lambda x: x[0])  # the only image of the batch
proposals = compiled(
    propose,
    first(logits),
    first(deltas),
    jax.tree.map(np.float32, anchors),
    size,
    config=config.rpn.test_proposals,
)
joined = [np.concatenate(list(x.values())) for x in (first(logits), first(deltas), anchors)]
best = np.argsort(-joined[0])[:20]
corrected = compiled(box_ops.decode, joined[1][best], joined[2][best], weights=BOX_WEIGHTS)

print(f"boxes {proposals.boxes.shape}, scores {proposals.scores.shape} (logits), best first")
print(f"valid: {proposals.valid.sum()} of {proposals.valid.size}")
show(
    pictures.proposals(seen, anchors=joined[2][best], corrected=corrected, kept=proposals),
    "proposals",
)

# %% [markdown]
# ## 6. RoIAlign
#
# The second stage looks at each proposal by itself, at a fixed resolution: every box, large or
# small, becomes 7x7 cells. First it is given a level by its size, the one on which it spans about
# as many cells as a box of 224 pixels does on level 4, within the levels that there are. There it
# falls between the pixels, and is not rounded (RoIPool rounds, and masks suffer: Mask R-CNN,
# table 2c). Instead, each cell is the average of samples spread evenly over it, and each sample
# is the bilinear mean of the four nearest pixel centres.
#
# Bilinear weights are products of a weight in y and one in x. So `ops/sampling_grid.py` gives
# *taps*, (pixel, weight) along each axis, and a pooled box is two thin matrices around the map.
# The cell below puts the taps of one box into such matrices and gets what `pool` gets.

# %%
pooled = compiled(pool, features, proposals.boxes[None], proposals.valid[None], config=pooling)

box = proposals.boxes[FOLLOWED]
lowest, highest = min(pooling.levels), max(pooling.levels)
level = int(compiled(assign_levels, box, lowest=lowest, highest=highest))
on_map = box / 2**level - 0.5 * pooling.half_pixel  # pixel i has its centre at i + 0.5


def taps_along(axis: int):
    """The samples of the box along one axis of its map: 0 for x, 1 for y."""
    length = on_map[2 + axis] - on_map[axis]
    samples = pooling.samples_per_cell or math.ceil(length / pooling.output_size)
    return compiled(
        fixed_taps,
        on_map[axis][None],
        length[None],
        np.array([cells[level][1 - axis]]),
        cells=pooling.output_size,
        samples=samples,
    )


def as_matrix(taps, length: int) -> np.ndarray:
    """[cell, pixel]: what each pixel of an axis gives to each cell."""
    matrix = np.zeros((pooling.output_size, length))
    np.add.at(matrix, (np.arange(len(matrix))[:, None], taps.index[0]), taps.weight[0])
    return matrix


taps_x, taps_y = taps_along(0), taps_along(1)
rows, columns = as_matrix(taps_y, cells[level][0]), as_matrix(taps_x, cells[level][1])
by_hand = np.einsum("yi,ijc,xj->yxc", rows, features[level][0], columns)
np.testing.assert_allclose(by_hand, pooled[0, FOLLOWED], rtol=1e-4, atol=1e-4)

print(f"box {box.round(1)} of the input is {(box / 2**level).round(2)} on P{level}")
print(f"pooled {pooled.shape}  (image, proposal, row, column, channel)")
print(
    f"a row of cells reads {np.count_nonzero(columns[3])} of {columns.shape[1]} columns of pixels"
)
show(
    pictures.roi_align(
        seen, features[level][0], box=box, level=level, taps=(taps_x, taps_y), pooled=by_hand
    ),
    "roi_align",
)

# %% [markdown]
# ## 7. Classes and boxes
#
# Two dense layers read the 7x7 features of a proposal. They give a logit for each class, the last
# one for "none of them", and four more numbers for each class, which correct the box once more.
# Every pair of a proposal and a class is a candidate. Those that score too little are dropped,
# and NMS runs within each class. What is left are the detections.

# %%
class_logits, box_deltas = stage(lambda detector, x: detector.roi.box_head(x), pooled)
probabilities = compiled(jax.nn.softmax, class_logits)[0]
class_boxes = compiled(
    decode_boxes,
    box_deltas[0],
    proposals.boxes,
    size,
    weights=roi_config.box.box_weights,
    limit_shrinking=roi_config.detections.limit_shrinking,
)
found = compiled(detect, probabilities, class_boxes, proposals.valid, config=roi_config.detections)
if not found.valid.any():
    raise InputError(f"nothing was found in {IMAGE}; take another image")

print(f"class logits {class_logits.shape}  box deltas {box_deltas.shape}")
print(f"{found.valid.sum()} detections, {(found.scores > 0.5).sum()} of them above .5")
show(
    pictures.classes(
        seen,
        proposal=box,
        probabilities=probabilities[FOLLOWED],
        corrected=class_boxes[FOLLOWED],
        detections=found,
        names=names,
    ),
    "classes",
)

# %% [markdown]
# ## 8. Masks
#
# The detections are pooled anew, at 14x14, and a small convolutional network gives a mask of
# 28x28 for *every* class. Classes do not compete for pixels: which class it is has been decided
# above, and the mask head only says what belongs to an object of that class (with a softmax over
# classes it is worse: Mask R-CNN, table 2b). The head computes the mask of the class that it is
# asked for; here it is asked for each. Below are the logits of one detection for all classes; the
# framed mask is the one that is used. (On these shapes they hardly differ: what there is in the box
# is an object, whatever it is called.)

# %%
mask_features = compiled(
    pool, features, found.boxes[None], found.valid[None], config=mask_config.pooling
)[0]


def masks_of_every_class(detector, x, valid):
    """Mask logits [detection, 28, 28, class]."""
    head = detector.roi.mask_head
    x = head.convs(x, valid)
    return jnp.stack([head.outputs(x, jnp.full(len(x), label)) for label in range(len(names))], -1)


mask_logits = stage(masks_of_every_class, mask_features, found.valid)
found = compiled(with_masks, found, compiled(select_class, mask_logits, found.labels))
overlaps = compiled(box_ops.iou, found.boxes, box[None])[:, 0]
followed = int(overlaps.argmax())  # the object of the box above

print(f"mask features {mask_features.shape}  mask logits {mask_logits.shape}")
show(
    pictures.class_masks(mask_logits[followed], label=int(found.labels[followed]), names=names),
    "class_masks",
)

# %% [markdown]
# ## 9. Back into the image
#
# A mask knows nothing of the image; it is stretched over its box, and each pixel of the image
# looks up, bilinearly, what the mask says at its centre. Where that is at least one half, the
# pixel belongs to the object. Only here does the result become as sharp as the image.

# %%
height, width = size.tolist()
pasted = compiled(
    lambda found: paste_masks(
        found.masks, found.mask_frames, valid=found.valid, height=height, width=width
    ),
    found,
)

print(f"masks {found.masks.shape}  pasted {pasted.shape}")
show(
    pictures.pasting(
        seen, mask=found.masks[followed], box=found.mask_frames[followed], pasted=pasted[followed]
    ),
    "pasting",
)

# %% [markdown]
# ## All together
#
# `MaskRCNN.predict` is these stages, one line for each, in one compiled program. It gives the
# same. (Arrays have places for 100 detections. Masks of places that are empty are not computed
# there, and mean nothing here.)

# %%
together = first(stage("predict", batch))
for part, one in zip(jax.tree.leaves(together), jax.tree.leaves(found), strict=True):
    np.testing.assert_allclose(part[found.valid], one[found.valid], rtol=1e-3, atol=1e-3)

objects = in_original_frame(
    found, resized=size.tolist(), original=image.shape[:2], paste=config.paste
)
shown = np.flatnonzero(objects.scores >= 0.5)
for i in shown:
    print(f"{names[objects.labels[i]]:9}  {objects.scores[i]:.2f}  {objects.boxes[i].round(1)}")
drawn = draw_detections(
    image,
    boxes=objects.boxes[shown],
    labels=objects.labels[shown],
    scores=objects.scores[shown],
    masks=DecodedMasks([(objects.segmentations or [])[i] for i in shown]),
    names=names,
)
show(pictures.final(drawn), "detections")

# %% [markdown]
# Training runs the same stages with other ends: `RPN.loss` and `StandardRoIHead.loss` compare
# what the heads say about sampled anchors and proposals with the annotated objects, and no line
# of the above asks whether it is training. Next: `maskrcnn_jax/maskrcnn.py`, which is all this on
# one page; `docs/architecture.md`, with the shapes of every arrow; `docs/new_mask_head.md`, to
# change a part.

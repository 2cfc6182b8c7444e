"""What our detector gives for a golden's image and weights, against the golden."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from maskrcnn_jax.convert.weights import from_state_dict
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections, in_original_frame
from tests.parity import comparison, ours
from tests.parity.comparison import Difference, absolute, identical, relative, worst
from tests.parity.goldens import Golden, adapted, batch_of, is_training
from tests.parity.ours import Prediction
from tests.parity.seeded import seeded_tensors

# Detectron2's names of our losses.
_LOSSES = {
    "rpn_objectness": "loss_rpn_cls",
    "rpn_box": "loss_rpn_loc",
    "roi_class": "loss_cls",
    "roi_box": "loss_box_reg",
    "roi_mask": "loss_mask",
    # of a cascade
    "roi_mask_0": "loss_mask",
    **{f"roi_class_{stage}": f"loss_cls_stage{stage}" for stage in range(3)},
    **{f"roi_box_{stage}": f"loss_box_reg_stage{stage}" for stage in range(3)},
}

# Arrays of detections: boxes, scores, labels, masks.
_MMDETECTION = ("boxes", "scores", "labels", "mask_rle")
_RESIZED = ("det_boxes_resized", "det_scores", "det_classes", None)
_ORIGINAL = ("final_boxes", "final_scores", "final_classes", "final_mask_rle")


def check(
    golden: Golden, shapes: Mapping[str, tuple[int, ...]], *, config: AnyDetectorConfig
) -> list[Difference]:
    """Runs a model with the weights that the golden was made with; compares all that it holds."""
    config, batch = adapted(config, golden), batch_of(golden)
    weights = from_state_dict(seeded_tensors(shapes), where="seeded weights")
    variables = ours.load(weights, config=config)
    if is_training(golden):
        losses, gradients = ours.gradients(variables, batch, config=config)
        return compare_training(losses, weights.naming.to_theirs(gradients), golden)
    prediction = ours.predict(variables, batch, config=config)
    return compare_prediction(prediction, golden, config=config)


def compare_prediction(
    found: Prediction, golden: Golden, *, config: AnyDetectorConfig
) -> list[Difference]:
    """All that an inference golden of either system holds."""
    resized = golden["resized_rgb"].shape[:2]

    def in_frame(size: Sequence[int]) -> ImageDetections:
        return in_original_frame(
            found.detections, resized=resized, original=size, paste=config.paste
        )

    rows = compare_features(found, golden) + compare_proposals(found, golden)
    if "input_is_rgb" in golden:
        # Where masks are judged, MMDetection's only scores are those of the masks.
        judged, theirs = in_frame(resized), _theirs(golden, _MMDETECTION)
        judged = dataclasses.replace(judged, scores=judged.mask_scores)
        if not theirs.boxes.any():  # SOLOv2 gives none there
            theirs = dataclasses.replace(theirs, boxes=judged.boxes)
        return rows + comparison.compare_detections(judged, theirs, frame="resized")
    theirs = _theirs(golden, _ORIGINAL)
    return [
        *rows,
        *compare_unpasted(found, golden),
        *comparison.compare_detections(
            in_frame(golden["original_hw"].tolist()), theirs, frame="original"
        ),
    ]


def compare_features(found: Prediction, golden: Golden) -> list[Difference]:
    """Shape, mean of each channel and middle pixel of every level, the finest first."""
    names = sorted(
        name.removesuffix("_mean")
        for name in golden
        if name.startswith("feature_") and name.endswith("_mean")
    )
    features = [found.features[level] for level in sorted(found.features)]
    rows = {}
    for name, x in zip(names, features, strict=False):
        middle = x[x.shape[0] // 2, x.shape[1] // 2]
        for sample, values in {f"{name}_mean": x.mean((0, 1)), f"{name}_center": middle}.items():
            rows[sample] = relative("", values, golden[sample], bar=comparison.FEATURES)
    return [
        identical(
            "shapes of features",
            [(1, x.shape[2], *x.shape[:2]) for x in features],
            [tuple(golden[f"{name}_shape"].tolist()) for name in names],
        ),
        worst("features (relative)", rows),
    ]


def compare_proposals(found: Prediction, golden: Golden) -> list[Difference]:
    """Boxes and scores after NMS, in order; nothing for a golden that holds none."""
    if "proposal_boxes" not in golden:
        return []
    if found.proposals is None:
        raise InputError("the golden holds proposals, but the preset's model makes none")
    scores, name = np.asarray(found.proposals.scores), "proposal_logits"
    if name not in golden:
        scores, name = 1 / (1 + np.exp(-scores)), "proposal_scores"
    boxes = np.asarray(found.proposals.boxes)
    return [
        absolute("proposals (px)", boxes, golden["proposal_boxes"], bar=comparison.BOXES),
        absolute(name.replace("_", " "), scores, golden[name], bar=comparison.SCORES),
    ]


def compare_unpasted(found: Prediction, golden: Golden) -> list[Difference]:
    """Detectron2's detections in the resized image, and the first masks as probabilities."""
    unpasted = ImageDetections(
        boxes=np.asarray(found.detections.boxes),
        scores=np.asarray(found.detections.scores),
        mask_scores=np.asarray(found.detections.mask_scores),
        labels=np.asarray(found.detections.labels),
        segmentations=None,
    )
    theirs = golden["det_mask_probs"]
    masks = np.asarray(found.detections.masks)[: len(theirs)]
    return [
        *comparison.compare_detections(unpasted, _theirs(golden, _RESIZED), frame="resized"),
        absolute("mask probabilities", masks, theirs, bar=comparison.MASK_PROBABILITIES),
    ]


def compare_training(
    losses: Mapping[str, float], gradients: Mapping[str, np.ndarray], golden: Golden
) -> list[Difference]:
    """Detectron2's losses, and gradients in its names and layouts."""
    theirs = {name: float(x) for name, x in golden.items() if name.startswith("loss_")}
    return [
        *comparison.compare_losses({_LOSSES.get(n, n): x for n, x in losses.items()}, theirs),
        *comparison.compare_gradients(
            gradients, norms=_below("gradnorm/", golden), heads=_below("gradhead/", golden)
        ),
    ]


def _theirs(golden: Golden, names: tuple[str, str, str, str | None]) -> ImageDetections:
    boxes, scores, labels, masks = names
    counts = None if masks is None else golden[masks].tolist()
    return ImageDetections(
        boxes=golden[boxes],
        scores=golden[scores],
        mask_scores=golden[scores],
        labels=golden[labels],
        segmentations=None if counts is None else [{"counts": text} for text in counts],
    )


def _below(prefix: str, golden: Golden) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): x for n, x in golden.items() if n.startswith(prefix)}

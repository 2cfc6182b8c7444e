# pyright: reportMissingImports=false, reportArgumentType=false
"""What torchvision computes. Runs in an environment of its own, with torch and torchvision alone.

    python torchvision_reference.py shapes OUTPUT.json
    python torchvision_reference.py resave OUTPUT.pth --weights WEIGHTS.pth
    python torchvision_reference.py predict INPUTS OUTPUTS --weights WEIGHTS.pth
    python torchvision_reference.py train INPUTS OUTPUTS --weights WEIGHTS.pth

INPUTS and OUTPUTS are folders: every INPUTS/NAME.npz is answered by OUTPUTS/NAME.npz. Arrays have
the names of ``goldens``, and classes are counted from 0, without torchvision's background.

The model is ``maskrcnn_resnet50_fpn`` as torchvision builds it around trained weights, or the same
with another ResNet: BatchNorm is frozen, and so are the stem and the first stage. No image is
resized, and for training every anchor and every proposal is sampled: nothing is left to chance.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

NUM_LOGITS = 91  # background is the first
EVERYTHING = {
    "rpn_batch_size_per_image": 100_000,
    "rpn_positive_fraction": 1.0,
    "box_batch_size_per_image": 100_000,
    "box_positive_fraction": 1.0,
}
LOSSES = {
    "loss_objectness": "loss_rpn_cls",
    "loss_rpn_box_reg": "loss_rpn_loc",
    "loss_classifier": "loss_cls",
    "loss_box_reg": "loss_box_reg",
    "loss_mask": "loss_mask",
}

Arrays = dict[str, np.ndarray]


def predict(model: MaskRCNN, inputs: Arrays, num_masks: int) -> Arrays:
    """Every stage of the inference on the image ``resized_rgb``, uint8 [h, w, 3].

    ``det_mask_probs`` are the first ``num_masks`` masks before pasting, ``final_masks_packed`` all
    of them in the image, cut at one half, eight pixels of a row in a byte.
    """
    image = inputs["resized_rgb"]
    size = image.shape[:2]
    keep_size(model, size)
    model.eval()
    with torch.no_grad():
        images, _ = model.transform([to_tensor(model, image)])
        features = model.backbone(images.tensors)
        proposals, scores = propose(model, images, features)
        found, _ = model.roi_heads(features, [proposals], images.image_sizes)
        probabilities = found[0]["masks"][:num_masks, 0]
        found = model.transform.postprocess(found, images.image_sizes, [size])[0]
    return sample(features) | {
        "proposal_boxes": proposals.numpy(),
        "proposal_scores": scores.numpy(),
        "det_boxes_resized": found["boxes"].numpy(),
        "det_scores": found["scores"].numpy(),
        "det_classes": found["labels"].numpy() - 1,
        "det_mask_probs": probabilities.numpy(),
        "final_masks_packed": np.packbits(found["masks"][:, 0].numpy() >= 0.5, axis=-1),
    }


def train(model: MaskRCNN, inputs: Arrays) -> Arrays:
    """Losses and gradients of a batch of images of one size.

    ``images`` uint8 [b, h, w, 3], ``gt_boxes`` [b, g, 4], ``gt_classes`` [b, g] and ``gt_masks``
    bool [b, g, h, w], of which ``gt_valid`` [b, g] are real. ``num_mask_rois`` [b] counts the RoIs
    of each image that have a mask loss.
    """
    keep_size(model, inputs["images"].shape[1:3])
    model.train()
    num_mask_rois = []
    model.roi_heads.mask_roi_pool.register_forward_pre_hook(
        lambda module, arguments: num_mask_rois.extend(len(boxes) for boxes in arguments[1])
    )
    compute_losses_in_precision_of(model)
    losses = model(
        [to_tensor(model, image) for image in inputs["images"]],
        [targets(model, inputs, index) for index in range(len(inputs["images"]))],
    )
    torch.stack(list(losses.values())).sum().backward()
    outputs = {LOSSES[name]: loss.detach().numpy() for name, loss in losses.items()}
    outputs["num_mask_rois"] = np.array(num_mask_rois)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            gradient = parameter.grad.numpy()
            outputs[f"gradnorm/{name}"] = np.linalg.norm(gradient)
            outputs[f"gradhead/{name}"] = gradient.reshape(-1)[:8]
    return outputs


def build(
    backbone_name: str, *, dtype: torch.dtype, norm_epsilon: float, train_proposals: int
) -> MaskRCNN:
    backbone = resnet_fpn_backbone(
        backbone_name=backbone_name,
        weights=None,
        norm_layer=FrozenBatchNorm2d,
        trainable_layers=3,
    )
    model = MaskRCNN(
        backbone,
        num_classes=NUM_LOGITS,
        rpn_post_nms_top_n_train=train_proposals,
        **EVERYTHING,
    )
    overwrite_eps(model, norm_epsilon)
    return model.to(dtype)


def propose(model: MaskRCNN, images, features) -> tuple[torch.Tensor, torch.Tensor]:
    """The proposals of one image with their scores, which the RPN does not hand out."""
    rpn, kept = model.rpn, {}
    filter_proposals = rpn.filter_proposals

    def remember(*args):
        kept["boxes"], kept["scores"] = filter_proposals(*args)
        return kept["boxes"], kept["scores"]

    rpn.filter_proposals = remember
    rpn(images, features)
    rpn.filter_proposals = filter_proposals
    return kept["boxes"][0], kept["scores"][0]


def compute_losses_in_precision_of(model: MaskRCNN) -> None:
    """The RPN has its labels in float32, and torch then rounds the objectness loss to that."""
    rpn = model.rpn
    assign = rpn.assign_targets_to_anchors

    def assign_exactly(anchors, targets):
        labels, boxes = assign(anchors, targets)
        return [x.to(precision(model)) for x in labels], boxes

    rpn.assign_targets_to_anchors = assign_exactly


def targets(model: MaskRCNN, inputs: Arrays, index: int) -> dict[str, torch.Tensor]:
    valid = inputs["gt_valid"][index]
    boxes, classes, masks = (
        torch.from_numpy(inputs[name][index][valid])
        for name in ("gt_boxes", "gt_classes", "gt_masks")
    )
    return {"boxes": boxes.to(precision(model)), "labels": classes + 1, "masks": masks.byte()}


def to_tensor(model: MaskRCNN, image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).to(precision(model)) / 255


def precision(model: MaskRCNN) -> torch.dtype:
    return next(model.parameters()).dtype


def keep_size(model: MaskRCNN, size: tuple[int, int]) -> None:
    """Makes the scale of the model's resize exactly 1 for images of ``size``."""
    model.transform.min_size, model.transform.max_size = (min(size),), max(size)


def sample(features: dict[str, torch.Tensor]) -> Arrays:
    samples = {}
    for level, x in zip(range(2, 7), features.values(), strict=True):
        samples[f"feature_p{level}_shape"] = np.array(x.shape)
        samples[f"feature_p{level}_mean"] = x[0].mean((1, 2)).numpy()
        samples[f"feature_p{level}_center"] = x[0, :, x.shape[2] // 2, x.shape[3] // 2].numpy()
    return samples


def answer(respond: Callable[[Arrays], Arrays], inputs: Path, outputs: Path) -> None:
    outputs.mkdir(parents=True, exist_ok=True)
    for path in sorted(inputs.glob("*.npz")):
        with np.load(path) as file:
            np.savez(outputs / path.name, **respond(dict(file)))


def main() -> None:
    options = parse()
    model = build(
        options.backbone,
        dtype=getattr(torch, options.dtype),
        norm_epsilon=options.norm_epsilon,
        train_proposals=options.train_proposals,
    )
    if options.verb == "shapes":
        shapes = {name: list(x.shape) for name, x in model.state_dict().items()}
        Path(*options.paths).write_text(json.dumps(shapes) + "\n")
        return
    # Strict: a name or shape that is not torchvision's own is an error.
    model.load_state_dict(torch.load(options.weights, weights_only=True), strict=True)
    if options.verb == "resave":
        torch.save(model.state_dict(), *options.paths)
    elif options.verb == "train":
        answer(lambda inputs: train(model, inputs), *options.paths)
    else:
        answer(lambda inputs: predict(model, inputs, options.masks), *options.paths)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["shapes", "resave", "predict", "train"])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backbone", default="resnet50", help="torchvision's name of a ResNet")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--norm-epsilon", type=float, default=0.0)
    parser.add_argument("--train-proposals", type=int, default=2000, help="per image, after NMS")
    parser.add_argument("--masks", type=int, default=100, help="how many to keep unpasted")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""What is timed on a GPU: prediction and training in both precisions, for growing batches."""

from benchmarks.speed.inputs import Size
from benchmarks.speed.works import TORCHVISION, Work

_SIZES: tuple[Size, ...] = ((800, 1333), (1024, 1024))
_BATCHES = (1, 4, 16)


def works(
    *, sizes: tuple[Size, ...] = _SIZES, batches: tuple[int, ...] = _BATCHES
) -> dict[str, Work]:
    """By name, the most telling first: what time does not suffice for is left out at the end."""
    found: dict[str, Work] = {}
    for size in sizes:
        for precision, predict_bar, train_bar in (("bfloat16", 2, 2), ("float32", None, None)):
            for batch in batches:
                shared = {"size": size, "batch_size": batch, "precision": precision}
                end = f"{size[0]}x{size[1]}, {precision}, {batch} images"
                found[f"gradients {end}"] = Work(
                    "train",
                    f"losses and gradients, {end}",
                    "gradients",
                    {**shared, "num_rois": 512, "num_objects": 130},
                    peers=TORCHVISION,
                    ratio=train_bar,
                )
                if batch == 1:
                    found[f"predict {end}"] = Work(
                        "predict",
                        f"prediction, {end}",
                        "predict",
                        shared,
                        peers=TORCHVISION,
                        ratio=predict_bar,
                    )
    return found

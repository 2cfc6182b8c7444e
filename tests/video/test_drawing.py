import dataclasses

import numpy as np

from maskrcnn_jax.palette import identity_colours
from maskrcnn_jax.video.drawing import drawn_video
from maskrcnn_jax.video.frames import Frame, open_video
from tests.video.discs import HEIGHT, WIDTH, Disc, detected, visible_masks

GREY = 90
AT_DISC = np.s_[3 * 45 : 3 * 48, 3 * 29 : 3 * 31]  # pictures are enlarged threefold


def draw(path, identities_of_frames, *, change=lambda found: found):
    """One disc in each frame, unless it has no identity in the list."""
    with drawn_video(path, ["disc"], rate=10) as add:
        for index, identities in enumerate(identities_of_frames):
            masks = visible_masks([Disc(start=(30, 40))], index)[: len(identities)]
            found = change(detected(masks, [0] * len(identities)))
            image = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
            add(
                Frame(index=index, seconds=index / 10, image=image),
                found,
                np.array(identities, int),
            )
    return [frame.image for frame in open_video(path).frames()]


def test_objects_have_the_colour_of_their_identity(tmp_path):
    shown = draw(tmp_path / "a.webm", [[0], [1], [], [1], [2]])
    assert [image.shape for image in shown] == [(3 * HEIGHT, 3 * WIDTH, 3)] * 5
    colours = identity_colours(np.arange(3)).astype(float)
    for image, identity in zip(shown, (0, 1, None, 1, 2), strict=True):
        tinted = GREY if identity is None else GREY + 0.42 * (colours[identity] - GREY)
        np.testing.assert_allclose(image[AT_DISC].mean((0, 1)), tinted, atol=12)


def test_boxes_are_drawn_without_masks(tmp_path):
    (image,) = draw(
        *(tmp_path / "a.webm", [[1]]),
        change=lambda found: dataclasses.replace(found, segmentations=None),
    )
    np.testing.assert_allclose(image[AT_DISC], GREY, atol=12)
    assert np.abs(image[3 * 28, 3 * 25 : 3 * 40].astype(int) - GREY).mean() > 20

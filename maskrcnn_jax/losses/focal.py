"""The focal loss, for detectors that judge every place of an image at once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from maskrcnn_jax.losses.terms import LossTerm


def focal(
    logits: Float[Array, "*n k"],
    labels: Int[Array, "*n"],
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> LossTerm:
    """-a (1 - p)^gamma log p for each entry and class, p being the probability of what is true.

    p is s(x) for the class ``label`` and 1 - s(x) for the others, with the sigmoid s; a is
    ``alpha`` for the former and 1 - ``alpha`` for the latter. A label of k is the background, true
    of no class. Counts the entries that are not background (Lin et al., 2017, equation 5).
    """
    num_classes = logits.shape[-1]
    is_true = labels[..., None] == jnp.arange(num_classes)
    signed = jnp.where(is_true, logits, -logits)
    weights = jnp.where(is_true, alpha, 1 - alpha)
    losses = weights * jax.nn.sigmoid(-signed) ** gamma * jax.nn.softplus(-signed)
    return LossTerm(losses.sum(), (labels < num_classes).sum().astype(losses.dtype))

"""How another system names the arrays of a detector, and how it lays them out; both ways.

A *canonical name* is the path of one of our variables without its collection, joined by slashes:
``backbone/res2/block0/conv1/kernel``. A rule pairs a template of the other system's name with one
of ours; ``{block}`` and the like stand for the same number in both.

PyTorch's layouts: convolution OIHW, linear [out, in], transposed convolution [in, out, kH, kW].
"""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from maskrcnn_jax.convert import heads
from maskrcnn_jax.errors import InputError


class Layout(NamedTuple):
    """The two directions of a change of layout; each undoes the other, to the last bit.

    ``axes`` is the number of axes that their array has.
    """

    axes: int
    to_ours: Callable[[np.ndarray], np.ndarray]
    to_theirs: Callable[[np.ndarray], np.ndarray]


VECTOR = Layout(1, lambda x: x, lambda x: x)
LINEAR = Layout(2, lambda x: x.T, lambda x: x.T)
CONV = Layout(4, lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))
TRANSPOSED_CONV = Layout(4, lambda x: x.transpose(2, 3, 0, 1), lambda x: x.transpose(2, 3, 0, 1))
# A 1x1 convolution that is a dense layer here.
POINTWISE = Layout(4, lambda x: x[:, :, 0, 0].T, lambda x: x.T[:, :, None, None])
POINTWISE_1D = Layout(3, lambda x: x[:, :, 0].T, lambda x: x.T[:, :, None])


_MASK_HEADS = {"one": "one mask head", "each": "a mask head in each stage"}
_MOST_LAYERS = 8  # of one kind that are counted; no head and no pyramid has more


class Rule(NamedTuple):
    theirs: str
    ours: str
    layout: Layout = VECTOR


def weight_and_bias(theirs: str, ours: str, layout: Layout) -> tuple[Rule, ...]:
    """The rules of a convolution or linear layer."""
    return (
        Rule(f"{theirs}.weight", f"{ours}/kernel", layout),
        Rule(f"{theirs}.bias", f"{ours}/bias"),
    )


def norm(theirs: str, ours: str) -> tuple[Rule, ...]:
    """The rules of a norm; one without statistics uses the first two."""
    return (
        Rule(f"{theirs}.weight", f"{ours}/scale"),
        Rule(f"{theirs}.bias", f"{ours}/bias"),
        Rule(f"{theirs}.running_mean", f"{ours}/mean"),
        Rule(f"{theirs}.running_var", f"{ours}/var"),
    )


def counted_from_zero(
    theirs: str, ours: str, layout: Layout, *, ours_from: int
) -> tuple[Rule, ...]:
    """Rules of layers that they count from 0 and we from another number: ``{i}`` in both."""
    return tuple(
        rule
        for i in range(_MOST_LAYERS)
        for rule in weight_and_bias(
            theirs.replace("{i}", str(i)), ours.replace("{i}", str(ours_from + i)), layout
        )
    )


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The names of one system.

    ``aliases`` are older names, read but never written. What one of the ``ignored`` expressions
    matches at its start has no place here and needs none. With ``background_first`` the class 0 is
    the background, which then also has box deltas and a mask. ``cascade_masks`` says whether a
    cascade of that system has "one" mask head or one in "each" stage; None: it has no cascades.
    """

    system: str
    rules: tuple[Rule, ...]
    aliases: tuple[Rule, ...] = ()
    ignored: tuple[str, ...] = ()
    background_first: bool = False
    cascade_masks: Literal["one", "each"] | None = None

    def canonical_name(self, theirs: str) -> str | None:
        """Our name of a tensor, or None if it has no place."""
        found = self._ours_of(theirs)
        return None if found is None else found[0]

    def their_name(self, canonical: str) -> str | None:
        """The inverse of ``canonical_name``, up to aliases."""
        found = self._theirs_of(canonical)
        return None if found is None else found[0]

    def is_ignored(self, theirs: str) -> bool:
        return any(re.match(expression, theirs) for expression in self.ignored)

    def to_ours(self, tensors: Mapping[str, np.ndarray]) -> heads.Tensors:
        """The tensors that have a place, by canonical names and in our layouts.

        Raises InputError for a wrong number of axes and for two tensors with the same place.
        """
        ours = {}
        for name, x in tensors.items():
            if (found := self._ours_of(name)) is None:
                continue
            place, layout = found
            if x.ndim != layout.axes:
                raise InputError(f"{name} has shape {list(x.shape)}, not {layout.axes} axes")
            if place in ours:
                raise InputError(f"{name} is there twice, under an older name too")
            ours[place] = layout.to_ours(x)
        ours = heads.channels_last(ours)
        return heads.background_last(ours) if self.background_first else ours

    def to_theirs(self, tensors: Mapping[str, np.ndarray]) -> heads.Tensors:
        """The inverse of ``to_ours``: canonical names in, this system's names out.

        Raises InputError for what this system has no name for.
        """
        self._refuse_other_cascades(tensors)
        self._refuse_unenlarged_masks(tensors)
        if self.background_first:
            tensors = heads.background_first(heads.with_background_outputs(tensors))
        else:
            tensors = heads.without_background_outputs(tensors)
        theirs = {}
        for name, x in heads.channels_first(tensors).items():
            if (found := self._theirs_of(name)) is None:
                raise InputError(f"{self.system} has no name for {name}, {list(x.shape)}")
            theirs[found[0]] = found[1].to_theirs(x)
        return theirs

    def _refuse_other_cascades(self, names: Collection[str]) -> None:
        """Raises InputError for a cascade that this system does not know, or not like this."""
        if any(self.their_name(name) is None for name in heads.hybrid_parts(names)):
            raise InputError(
                f"{self.system} has no Hybrid Task Cascade: this model cannot be written for it"
            )
        if not heads.num_stages(names, "box"):
            return
        if self.cascade_masks is None:
            raise InputError(f"{self.system} has no cascades: this model cannot be written for it")
        found = "each" if heads.num_stages(names, "mask") else "one"
        has_masks = any(name.startswith("roi/mask_head") for name in names)
        if has_masks and found != self.cascade_masks:
            raise InputError(
                f"a cascade of {self.system} has {_MASK_HEADS[self.cascade_masks]}, this one has "
                f"{_MASK_HEADS[found]}: it cannot be written for that system"
            )

    def _refuse_unenlarged_masks(self, names: Collection[str]) -> None:
        """Raises InputError for a mask head that lacks the upsampling which all systems have."""
        for name in names:
            head, _, layer = name.rpartition("/predictor/")
            if (
                re.fullmatch(r"roi/mask_head(s_\d+)?", head)
                and f"{head}/upsample/{layer}" not in names
            ):
                raise InputError(
                    f"{self.system} has no mask head without upsampling: this model cannot be "
                    "written for it"
                )

    def _ours_of(self, theirs: str) -> tuple[str, Layout] | None:
        rules = (*self.rules, *self.aliases)
        return _first_match(theirs, ((r.theirs, r.ours, r.layout) for r in rules))

    def _theirs_of(self, ours: str) -> tuple[str, Layout] | None:
        return _first_match(ours, ((r.ours, r.theirs, r.layout) for r in self.rules))


def _first_match(
    name: str, candidates: Iterable[tuple[str, str, Layout]]
) -> tuple[str, Layout] | None:
    """The second template of the first candidate whose first one matches, with its numbers."""
    for template, other, layout in candidates:
        if match := _expression(template).fullmatch(name):
            return other.format(**match.groupdict()), layout
    return None


@functools.cache
def _expression(template: str) -> re.Pattern[str]:
    """``a.{n}.b`` as an expression with a group ``n`` of digits."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\d+)", re.escape(template)))

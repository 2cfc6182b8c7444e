"""An interpreter for pickles that cannot run anything.

A pickle is a program for a machine with a stack and a memo. This machine has the instructions that
make plain values and containers; it calls nothing but the functions of ``allowed``, builds nothing
but the objects that those return, and refuses every other name and instruction. It does not use
recursion, and a dict for the memo, so that neither depth nor a huge index can exhaust it. The
instructions' arguments are parsed by the standard library's disassembler.
"""

import pickletools
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, BinaryIO

from maskrcnn_jax.convert.files.allowed import ALLOWED, IGNORED, Ignored
from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.source import Source
from maskrcnn_jax.convert.files.tensors import NumpyArray, NumpyDtype, TorchTensor

_MAX_INSTRUCTIONS = 2_000_000  # weights need some 20 thousand; each may make an object

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = frozenset(
    "BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINSTRING SHORT_BINSTRING BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
_WITH_ATTRIBUTES = (OrderedDict, TorchTensor, Ignored)  # which are passed over
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

Refer = Callable[[Any], Any]
"""Gives the object for a persistent id."""


def unpickle(source: Source | BinaryIO, *, refer: Refer | None = None) -> Any:
    """Reads the pickle (protocol 2 to 5) that begins here, and no byte behind it.

    Arrays and tensors come as the objects of ``tensors``; of a dict only the items with a string
    for key are kept, of a set nothing. What Python 2 wrote as ``str`` is text, one character for
    each byte. Without ``refer`` a persistent id is refused.
    """
    machine = _Machine(refer)
    try:
        instructions = pickletools.genops(source)  # type: ignore  # needs no more than Source has
        for opcode, argument, _ in islice(instructions, _MAX_INSTRUCTIONS):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except (LookupError, TypeError, ValueError, Warning) as error:  # the last of wrong escapes
        raise ContentError(
            f"holds a damaged pickle, or is cut short, near byte {source.tell()}: {error!s:.200}"
        ) from error
    raise ContentError(f"holds a pickle of more than {_MAX_INSTRUCTIONS} instructions")


class _Machine:
    def __init__(self, refer: Refer | None):
        self._refer = refer
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """Values, the memo and containers; all that has effects is in ``_step_with_object``."""
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(tuple(self._pop_last(_TUPLES[name])))
        else:
            match name:
                case "PROTO" | "FRAME":
                    pass
                case "MARK":
                    self._marks.append(len(stack))
                case "BINPUT" | "LONG_BINPUT":
                    self._memo[argument] = stack[-1]
                case "MEMOIZE":
                    self._memo[len(self._memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(self._memo[argument])
                case "TUPLE":
                    stack.append(tuple(self._pop_marked()))
                case "EMPTY_LIST":
                    stack.append([])
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_SET":
                    stack.append(IGNORED)
                case "APPEND":
                    self._extend(self._pop_last(1))
                case "APPENDS" | "ADDITEMS":
                    self._extend(self._pop_marked())
                case "SETITEM":
                    self._set_items(self._pop_last(2))
                case "SETITEMS":
                    self._set_items(self._pop_marked())
                case "FROZENSET":
                    self._pop_marked()
                    stack.append(IGNORED)
                case _:
                    self._step_with_object(name, argument)

    def _step_with_object(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "GLOBAL":
                stack.append(_allowed(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_allowed(*self._pop_last(2)))
            case "REDUCE" | "NEWOBJ":
                stack.append(_call(*self._pop_last(2)))
            case "BUILD":
                (state,) = self._pop_last(1)
                _build(stack[-1], state)
            case "BINPERSID" if self._refer:
                stack.append(self._refer(stack.pop()))
            case _:
                what = name if argument is None else f"{name} {argument!r:.100}"
                raise ContentError(
                    f"holds the pickle instruction {what}, which is not one of those that plain "
                    "tensors need (in protocol 2 to 5); nothing of it was run"
                )

    def _pop_last(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError("nothing on the stack")
        values = self._stack[-count:]
        del self._stack[-count:]
        return values

    def _pop_marked(self) -> list[Any]:
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Ignored):
            raise ValueError(f"items for a {type(target).__name__}")

    def _set_items(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            items: Iterable[tuple[Any, Any]] = zip(values[::2], values[1::2], strict=True)
            target.update((key, value) for key, value in items if isinstance(key, str))
        elif not isinstance(target, Ignored):
            raise ValueError(f"items for a {type(target).__name__}")


def _allowed(module: Any, name: Any) -> Any:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name that is not text")
    full_name = f"{module}.{name}"
    if full_name not in ALLOWED:
        raise ContentError(
            f"refers to {full_name!r:.200}; only dense tensors, numpy arrays and plain containers "
            "are read, and nothing of the file was run. If you trust the file, load it where it "
            "was made and save its state dict alone"
        )
    return ALLOWED[full_name]


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(function, types.FunctionType) or not isinstance(arguments, tuple):
        raise ContentError(f"calls a {type(function).__name__}, which is no function")
    return function(*arguments)


def _build(target: Any, state: Any) -> None:
    if isinstance(target, NumpyArray | NumpyDtype):
        target.build(state)
    elif not isinstance(target, _WITH_ATTRIBUTES):
        raise ContentError(f"sets the state of a {type(target).__name__}, which has none")

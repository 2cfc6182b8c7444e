"""What a compiled program costs each device, as XLA says."""

import math
import re
import time
from dataclasses import dataclass
from typing import NamedTuple

import jax

from maskrcnn_jax.training.aot.programs import Program

_KINDS = "all-gather|all-reduce|all-to-all|collective-broadcast|collective-permute|reduce-scatter"
# `%name = TYPE kind(operands)`; of an asynchronous pair the end is taken, whose type is the result.
_COLLECTIVE = re.compile(rf"= (?P<type>.*?) (?P<kind>{_KINDS})(?:-done)?\(")
# Parts of one collective that a TPU does beside other work.
_CHAIN = re.compile(r'chain_id="(\d+)"')
_ARRAY = re.compile(r"(?:pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<shape>[\d,]*)\]")
# XLA's message goes on with every large buffer.
_MESSAGE_LINES = 12


class Collectives(NamedTuple):
    """How many of one kind a program holds, and the bytes of all their results on a device."""

    count: int
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Bytes in the memory of a device, and floating-point operations of a device in one step.

    XLA counts operations inside of a loop as if it went round once. ``outputs`` are those that do
    not take the place of arguments, as a step's new state does.
    """

    arguments: int
    outputs: int
    temporaries: int
    code: int
    flops: float
    collectives: dict[str, Collectives]
    compile_seconds: float

    @property
    def memory(self) -> int:
        return self.arguments + self.outputs + self.temporaries + self.code


class DoesNotFitError(Exception):
    """XLA found no way to run a program in a device's memory. The message is XLA's."""


def measure(program: Program) -> Cost:
    """Compiles a program, which takes minutes for a real model."""
    lowered = program.step.lower(*program.arguments)
    start = time.monotonic()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        message = str(error)
        if not _is_out_of_memory(message):
            raise
        raise DoesNotFitError("\n".join(message.splitlines()[:_MESSAGE_LINES])) from None
    seconds = time.monotonic() - start
    memory = compiled.memory_analysis()
    return Cost(
        arguments=memory.argument_size_in_bytes,
        outputs=memory.output_size_in_bytes - memory.alias_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        flops=compiled.cost_analysis()["flops"],
        collectives=collectives(compiled.as_text()),
        compile_seconds=seconds,
    )


def _is_out_of_memory(message: str) -> bool:
    """Whether XLA says so of the large memory; the small ones of a device are its own care."""
    return "RESOURCE_EXHAUSTED" in message and "hbm" in message.lower()


def collectives(hlo: str) -> dict[str, Collectives]:
    """Reads them from a compiled program. What is inside of a loop counts once."""
    operations = {}
    for number, line in enumerate(hlo.splitlines()):
        if match := _COLLECTIVE.search(line):
            chain = _CHAIN.search(line)
            operations[chain[1] if chain else number] = match
    found: dict[str, Collectives] = {}
    for match in operations.values():
        count, num_bytes = found.get(match["kind"], (0, 0))
        found[match["kind"]] = Collectives(count + 1, num_bytes + _num_bytes(match["type"]))
    return found


def _num_bytes(hlo_type: str) -> int:
    """Of an array such as ``f32[8,128]{1,0}``, or of a tuple of arrays."""
    total = 0
    for match in _ARRAY.finditer(hlo_type):
        bits = int(match["bits"] or 8)  # a pred takes a byte
        total += math.prod(int(n) for n in match["shape"].split(",") if n) * bits // 8
    return total

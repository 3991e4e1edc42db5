"""The shapes of real models' parameters, and of the cases that the benchmark runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

Shape = tuple[int, ...]


def resnet50() -> list[Shape]:
    def conv(out: int, inp: int, kernel: int) -> list[Shape]:
        return [(out, inp, kernel, kernel), (out,), (out,)]  # the weight, then the two of its batch norm

    shapes, inp = conv(64, 3, 7), 64
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            shapes += conv(width, inp, 1) + conv(width, width, 3) + conv(4 * width, width, 1)
            if block == 0:
                shapes += conv(4 * width, inp, 1)
            inp = 4 * width
    return [*shapes, (1000, 2048), (1000,)]


def gpt2(layers: int = 12, d: int = 768, vocabulary: int = 50257, context: int = 1024) -> list[Shape]:
    attention = [(d, 3 * d), (3 * d,), (d, d), (d,)]
    mlp = [(d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    norm = [(d,), (d,)]
    return [(vocabulary, d), (context, d), *(norm + attention + norm + mlp) * layers, *norm]


def vit_b16(layers: int = 12, d: int = 768, classes: int = 1000) -> list[Shape]:
    attention = [(3 * d, d), (3 * d,), (d, d), (d,)]
    mlp = [(4 * d, d), (4 * d,), (d, 4 * d), (d,)]
    norm = [(d,), (d,)]
    embedding = [(1, 1, d), (1, 197, d), (d, 3, 16, 16), (d,)]
    return [*embedding, *(norm + attention + norm + mlp) * layers, *norm, (classes, d), (classes,)]


def llama_layer(d: int = 4096, hidden: int = 11008) -> list[Shape]:
    return [(d, d)] * 4 + [(hidden, d), (hidden, d), (d, hidden), (d,), (d,)]


def llama2_7b() -> list[Shape]:
    return [(32000, 4096), *llama_layer() * 32, (4096,), (32000, 4096)]


def many(tensors: int, size: int) -> list[Shape]:
    return [(size,)] * tensors


def mixed(tensors: int = 4096) -> list[Shape]:
    """Sizes from 2^4 to 2^20, most of them odd, so that tails and misaligned starts occur."""
    return [((1 << (4 + (i * 7) % 17)) + i % 5,) for i in range(tensors)]


@dataclass(frozen=True)
class Case:
    name: str
    shapes: list[Shape] = field(repr=False)
    quick: bool = False

    @property
    def tensors(self) -> int:
        return len(self.shapes)

    @property
    def elements(self) -> int:
        return sum(map(prod, self.shapes))

    @property
    def largest(self) -> int:
        return max(map(prod, self.shapes))


CASES = (
    Case("1x1000", many(1, 1000), quick=True),
    Case("1x100K", many(1, 100_000), quick=True),
    Case("1x16M", many(1, 16 << 20)),
    Case("1x64M", many(1, 64 << 20)),
    Case("1000x1000", many(1000, 1000), quick=True),
    Case("10000x100", many(10_000, 100), quick=True),
    Case("resnet50", resnet50()),
    Case("gpt2_124m", gpt2()),
    Case("vit_b16", vit_b16()),
    Case("llama7b_layer", llama_layer()),
    Case("many_10k_x_1k", many(10_000, 1024)),
    Case("mixed_4096", mixed()),
    Case("llama2_7b", llama2_7b()),
)

# What is measured of these says nothing.
TINY = (Case("tiny_3", [(300,), (7, 11), (1,)]), Case("tiny_20", many(20, 50)))

"""The peers, those first that matter most where memory is short."""

from __future__ import annotations

from peers.adamcore import AdamCore, AdamCoreOtherGrads
from peers.base import Peer, UnavailableError, explain
from peers.numba import Numba
from peers.numpy import OutArguments, Textbook
from peers.optax import Optax
from peers.stream import Stream, StreamUnaligned
from peers.torch import DeepSpeed, TorchForeach, TorchFused

__all__ = ["ANCHOR", "PEERS", "Peer", "UnavailableError", "explain"]

ANCHOR: type[Peer] = AdamCore
PEERS: tuple[type[Peer], ...] = (
    AdamCore,
    Stream,
    TorchFused,
    AdamCoreOtherGrads,
    Optax,
    Numba,
    DeepSpeed,
    OutArguments,
    Textbook,
    TorchForeach,
    StreamUnaligned,
)

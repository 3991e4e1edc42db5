"""The peers on a GPU, those first that matter most where memory is short."""

from __future__ import annotations

from device import adamcore, cupy, limits, torch
from peers.base import Peer

ANCHOR: type[Peer] = adamcore.OnDevice
STEPS: tuple[type[Peer], ...] = (
    adamcore.OnDevice,
    limits.Copy,
    limits.Stream,
    torch.Fused,
    adamcore.Clip,
    torch.Clip,
    adamcore.NewGrads,
    adamcore.Graph,
    torch.Graph,
    adamcore.Scaler,
    torch.Scaler,
    adamcore.Tensors,
    limits.StreamOnce,
    cupy.Flat,
    cupy.PerTensor,
    torch.Foreach,
)
STORED: tuple[type[Peer], ...] = (adamcore.Master, adamcore.Remainder, adamcore.AllHalf)

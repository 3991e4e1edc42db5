"""Which peers take part: those that can be imported, and what their arithmetic is worth."""

from __future__ import annotations

import sys

from check import check
from peers import ANCHOR, PEERS, Peer, UnavailableError, explain
from record import RIGHT, YARDSTICK


def choose_peers(keys: list[str] | None) -> list[type[Peer]]:
    if not keys:
        return list(PEERS)
    known = [peer.key for peer in PEERS]
    unknown = sorted(set(keys) - set(known))
    if unknown:
        sys.exit(f"no such peer: {', '.join(unknown)}; the peers are {', '.join(known)}")
    return [peer for peer in PEERS if peer is ANCHOR or peer.key in keys]


def muster(chosen: list[type[Peer]], threads: int) -> tuple[list[type[Peer]], dict[str, str], dict[str, str]]:
    """Return the peers that can run, what the check says of each, and why the others cannot."""
    present, checks, absent = [], {}, {}
    for peer in chosen:
        try:
            checks[peer.key] = _prepare(peer, threads)
            present.append(peer)
        except ImportError as error:
            absent[peer.key] = f"not installed ({explain(error)})"
        except UnavailableError as error:
            absent[peer.key] = explain(error)
        except Exception as error:  # noqa: BLE001  (whatever stops a peer is to be told, not to stop the others)
            absent[peer.key] = f"failed to start: {type(error).__name__}: {explain(error)}"
    return present, checks, absent


def _prepare(peer: type[Peer], threads: int) -> str:
    peer.prepare(threads)
    return YARDSTICK if peer.is_yardstick else check(peer, threads) or RIGHT

"""Ways out of plateaus and saddles. Each function acts once, between two steps; a `Policy` decides when.

What is there to be escaped from, a `Monitor` says. The functions record what they have done in the monitors of the
optimizer, and return it as an `Act`. Those that change weights raise an error, and change nothing, while gradients are
being accumulated or an average of weights is swapped in.
"""

from __future__ import annotations

from adamcore.escape._along import along_curvature
from adamcore.escape._perturb import perturb
from adamcore.escape._rates import jolt
from adamcore.escape._restart import restart
from adamcore.escape._rewind import rewind
from adamcore.escape.policies.policy import Policy
from adamcore.monitor.act import Act

__all__ = ["Act", "Policy", "along_curvature", "jolt", "perturb", "restart", "rewind"]

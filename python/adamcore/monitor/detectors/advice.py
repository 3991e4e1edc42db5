"""What to do about each kind of finding."""

from __future__ import annotations

_ADVICE = {
    "plateau": "The loss has stopped falling. If it is low enough, you are done. Otherwise lower the rate, or look for "
    "what keeps the model from learning: dead units, vanishing gradients, too little capacity.",
    "plateau/agreeing": "The loss hardly changes, but the gradients of successive steps agree: the rate may be far too "
    "small. Try ten times as much. If that does not help, look for what keeps the model from learning.",
    "plateau/validation": "The validation metric has stopped improving: lower the rate or stop.",
    "vanishing": "Its gradients are a thousand times smaller than those of other layers, so it hardly learns. Change "
    "the initialisation or the activation, add skip connections or normalisation, or train it with a larger rate.",
    "dead": "It gets no gradient. Look for ReLUs that are never active, sigmoids or tanh whose inputs are too large, a "
    "layer that the loss does not depend on, or gradients too small for their precision; begin it anew, with a smaller "
    "rate.",
    "dead/units/note": "Some of its rows or columns get no gradient. A few are usual: inputs that never change.",
    "dead/units/warning": "Many of its rows or columns get no gradient. Look for ReLUs that are never active; begin it "
    "anew, with a smaller rate.",
    "saddle": "The loss is flat here, but there is a way down that gradients do not show. Move along it, "
    "ac.escape.along_curvature, or add noise, ac.escape.perturb. Units with equal weights are a usual reason.",
    "spike": "A gradient stands out. Look at this batch. clip_norm=ac.SpikeGuard() clips or skips such steps.",
    "exploding": "Losses are ten times what they were, spike after spike, or not finite. Unless they come back soon, "
    "go back to a checkpoint from before this step, leave out these batches, and lower the rate or use "
    "clip_norm=ac.SpikeGuard().",
    "overflow_loop": "Many steps are skipped because gradients overflow, so little is learnt. Lower the loss scale, "
    "use bfloat16, or look for a loss that is not finite.",
    "overflow_loop/scale": "The loss scale is below 1: gradients overflow whatever it is. Look for a loss that is not "
    "finite, or use bfloat16.",
    "lost": "Most of its updates are smaller than its precision, and are lost. Keep a master, "
    'precision=ac.Precision(master="float32"), or use rounding="stochastic".',
    "stale": "Its second moment is much too large for its gradients, as after a burst, so its steps are small until it "
    "has decayed. If the loss does not fall, call opt.rescale_state(c, names=[tensor]) with the c of the "
    "evidence. Look at the batch of the burst; clip_norm=ac.SpikeGuard() prevents the next one.",
    "lr_small": "Gradients of successive steps agree while the loss falls: a larger rate would get there sooner. Try "
    "three times as much.",
    "lr_large": "The loss is far above what it has been, or not finite. Try a third of the rate, or a warm-up. If a "
    "spike came first, look at its batch.",
    "overfitting": "The validation metric becomes worse while the training loss falls. Stop at the best validation "
    "(ac.EarlyStopping), or use more data, more weight decay or a smaller model.",
}


def advice_for(kind: str, about: str, severity: str, *, agree: bool = False) -> str:
    """Return the advice for a kind of finding, or for what it is about if there is one."""
    if kind == "plateau" and agree:
        about = about or "agreeing"
    keys = (f"{kind}/{about}/{severity}", f"{kind}/{about}", kind)
    return next(_ADVICE[key] for key in keys if key in _ADVICE)

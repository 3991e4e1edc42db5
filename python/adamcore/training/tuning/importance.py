"""Which numbers matter."""

from __future__ import annotations

from typing import Any

from adamcore._checks.extras import import_extra
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.sampling import State, optuna, quiet


def importance_of(job: Job, trials: list[Any]) -> dict[str, float]:
    """Return how much each number matters to how good trials are; together they are 1."""
    import_extra("sklearn", "Tuning.importance", "demo")
    if len(trials) < 2:
        raise ValueError(f"tune: importance needs two trials or more, and {len(trials)} ended")
    # Most trials are pruned, and their values are of different steps: only their order can be compared.
    ranked = sorted(trials, key=lambda trial: _badness(job, trial))
    with quiet():
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=float(rank))
                for rank, trial in enumerate(ranked)
            ]
        )
        # PED-ANOVA needs no scikit-learn, but names the rate as the first in half of the searches only.
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name.removeprefix("1-"): float(share) for name, share in found.items()}


def _badness(job: Job, trial: Any) -> tuple[bool, int, float]:
    """Return what is lower for better trials: complete ones first, then those that got far, then by their values."""
    reached = max(trial.intermediate_values, default=0)
    is_well = trial.user_attrs.get("failure") is None
    return trial.state != State.COMPLETE, -reached if is_well else 0, job.metric.cost(trial.value if is_well else None)

"""What a run directory says to an experiment that is asked for, before anything is computed. No TensorFlow."""

from tf_bigan.errors import InputError


def settled(experiment, run, initial=None):
    """The experiment as `run` holds it, and whether there is anything left to do.

    Args:
      experiment: the `Experiment` asked for.
      run: the `RunDirectory` to train in.
      initial: the `RunDirectory` of the initial weights that were asked for; None = none were.

    Returns:
      (the experiment, with what it leaves open filled from the run that was begun there, if any; a line that says that
      the run is finished, or None if it is not).

    Raises:
      InputError: the run there is another experiment or began from other weights, or a setting of a new run has no
        effect.
    """
    run.check_initial(initial)
    if not run.has_begun():
        experiment.check_effects()
    experiment = run.resolve(experiment.sized())
    return experiment, _finished(run, experiment) if run.is_finished() else None


def _finished(run, experiment):
    try:
        steps = run.read_log()[-1]["step"]
    except (InputError, IndexError):  # the log is not needed any more
        return f"{run.path} is finished: {experiment.epochs} epochs"
    return f"{run.path} is finished: {steps} steps"

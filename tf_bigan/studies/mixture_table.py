"""The study of the 25 Gaussians as text: its table beside the papers' numbers, and which claims it bears out."""

from tf_bigan.studies.intervals import LEVEL, Interval, interval
from tf_bigan.studies.mixture_plan import ENTRANTS, RANGES, SETTINGS, settings
from tf_bigan.studies.mixture_results import COUNTS, Results

RULES = {
    "modes": "any sample",
    "modes_near": "one within 3 sigma",
    "modes_covered": "20 within 3 sigma",
}
# Modes of 25 that papers report for each system, with the standard deviation over runs.
PAPERS = {
    "Dumoulin et al. 2017, any sample of 10,000": {"ali": (13.4, 5.8), "gan": (10.4, 9.2)},
    "Lin et al. 2018 (PacGAN), one within 3 sigma of 2,500": {"ali": (24.1, 0.4), "gan": (17.3, 0.8)},
}
_JOINT, _ALONE = "ali", "gan"


def study_table(results: Results) -> str:
    """The study as text.

    A run that diverged counts as one without modes and without samples within 3 sigma; its other numbers do not exist.
    For encoders that are learned afterwards, the numbers of samples are those of the run that gave the decoder.

    Args:
      results: of the runs that have ended, all or some of those planned.
    """
    blocks = [
        "\n".join(_rows(results)),
        "\n".join(_papers()),
        "\n".join(_differences(results)),
        "\n".join(claims(differences(results), _means(results))),
        "\n".join(_notes(results)),
    ]
    return "\n\n".join(block for block in blocks if block)


def counts(results, system, name) -> dict[int, float]:
    """{number of the setting: a count of modes or "high_quality"} of a system's runs; 0 for those that diverged."""
    return {number: result.get(name, 0) for number, result in results.of(system).items()}


def differences(results: Results) -> dict[str, Interval]:
    """Rule -> ALI's modes less GAN's, over the settings that both have been run with; {} if there are none."""
    found = {}
    for name in (*COUNTS, "high_quality"):
        joint, alone = counts(results, _JOINT, name), counts(results, _ALONE, name)
        if shared := sorted(joint.keys() & alone.keys()):
            found[name] = interval([joint[number] - alone[number] for number in shared])
    return found


def claims(found: dict[str, Interval], means: dict[str, dict[str, Interval]]):
    """Lines that say which rule makes which claim true.

    Args:
      found: rule -> the difference of ALI's and GAN's modes.
      means: system -> rule -> the mean over its runs, of "ali" and "gan".
    """
    if not found:
        return
    told = {1: [], -1: [], 0: []}
    for name, rule in RULES.items():
        told[found[name].sign].append(rule)
    yield "Does joint inference cover more modes than a GAN?"
    for sign, answer in ((1, "yes"), (-1, "no, the GAN covers more"), (0, "not decided")):
        if told[sign]:
            yield f"  {answer}, if a mode counts with {', or with '.join(told[sign])}"
    for paper, systems in PAPERS.items():
        places = {
            rule: [means[system][name].place(value) for system, (value, _) in systems.items()]
            for name, rule in RULES.items()
        }
        fit = [rule for rule, found in places.items() if set(found) == {"in"}]
        values = " and ".join(f"{ENTRANTS[system].title} {value}" for system, (value, _) in systems.items())
        where = "; ".join(f"{rule}: {', '.join(found)}" for rule, found in places.items())
        yield f"  {values} ({paper.partition(',')[0]}) are in the intervals here with {' and '.join(fit) or 'no rule'}"
        yield f"    where they lie: {where}"


def _means(results):
    return {
        system: {name: interval(list(found.values())) for name in COUNTS if (found := counts(results, system, name))}
        for system in (_JOINT, _ALONE)
    }


def _rows(results):
    yield "modes of 25: mean ± standard deviation over settings, 95 % interval of the mean, least to most"
    yield f"{'':26}" + "".join(f"{rule:>36}" for rule in RULES.values()) + f"{'runs':>6}"
    for system, entrant in ENTRANTS.items():
        runs = results.of(system)
        cells = [_of_samples(results, system, name, 1) for name in RULES]
        yield f"{entrant.title:26}" + "".join(f"{cell:>36}" for cell in cells) + f"{len(runs):6}"
    yield ""
    yield f"{'':26}{'% within 3 sigma':>36}{'KL of the shares, nats':>36}{'reconstruction error':>36}"
    for system, entrant in ENTRANTS.items():
        ended = [result for result in results.of(system).values() if "diverged" not in result]
        errors = [result["reconstruction"] for result in ended if "reconstruction" in result]
        cells = (
            _of_samples(results, system, "high_quality", 1, scale=100),
            _of_samples(results, system, "kl", 2),
            _cell(errors, 2),
        )
        yield f"{entrant.title:26}" + "".join(f"{cell:>36}" for cell in cells)


def _of_samples(results, system, name, digits, scale=1):
    """A cell of what is measured of samples.

    Runs that inherit have one decoder, so their samples differ only in the seed of z. The cell has the number of the
    run that gave the decoder.
    """
    runs = results.of(system)
    if ENTRANTS[system].inherits:
        given = [results.runs[result["decoder"]] for result in runs.values() if result["decoder"] in results.runs]
        return f"{scale * given[0][name]:.{digits}f}, of its decoder" if given else "-"
    if name == "kl":
        return _cell([scale * result[name] for result in runs.values() if "diverged" not in result], digits)
    return _cell([scale * value for value in counts(results, system, name).values()], digits)


def _cell(values, digits):
    if not values:
        return "-"
    found = interval(values)
    if found.count == 1:
        return f"{found.mean:.{digits}f}"
    low, high = (f"{value:.{0 if digits == 1 else digits}f}" for value in (min(values), max(values)))
    inner = f"[{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return f"{found.mean:.{digits}f} ± {found.deviation:.{digits}f} {inner} {low}-{high}"


def _papers():
    for paper, systems in PAPERS.items():
        told = ", ".join(f"{ENTRANTS[name].title} {mean} ± {spread}" for name, (mean, spread) in systems.items())
        yield f"{paper}: {told}"


def _differences(results):
    for name, found in differences(results).items():
        head = f"{ENTRANTS[_JOINT].title} - {ENTRANTS[_ALONE].title}, {RULES.get(name, '% within 3 sigma')}"
        scale = 1 if name in RULES else 100
        mean, low, high = (scale * value for value in (found.mean, found.low, found.high))
        yield f"{head:40}{mean:+6.1f} [{low:+.1f}, {high:+.1f}], {found.count} pairs"


def _notes(results):
    for name, result in sorted(results.runs.items()):
        if "diverged" in result:
            yield f"{name} diverged, which counts as 0 modes: {result['diverged']}"
    if decoders := {result["decoder"] for result in results.runs.values() if "decoder" in result}:
        yield f"Encoders that are learned afterwards are for the decoder of {decoders.pop()}, the best-covering GAN."
    if missing := SETTINGS * len(ENTRANTS) - len(results.runs):
        yield f"{missing} of {SETTINGS * len(ENTRANTS)} runs are missing."
    drawn = "; ".join(
        f"{name} {'log-' if logarithmic else ''}uniform in [{low:g}, {high:g}]"
        for name, (low, high, logarithmic) in RANGES.items()
    )
    yield f"{SETTINGS} settings, the same for every system. {drawn}:"
    for number, own in enumerate(settings(), 1):
        yield f"  {number:2}: " + " ".join(f"--{name}={value:g}" for name, value in own.items())
    yield (
        f"10,000 samples a run. Intervals are t intervals at {LEVEL:.0%}, those of differences over pairs of the same "
        "setting. KL is the divergence of the modes' shares of samples from even ones. Reconstruction: mean Euclidean "
        "distance of 10,000 unseen points to their reconstructions, from the code at noise 0 or the posterior's mean."
    )

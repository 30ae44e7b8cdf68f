"""Training steps of every system must stay what they were when the published runs were trained.

On a machine with the recorded fingerprint the weights must be equal to the last bit. Another CPU or TensorFlow version
sums in another order, so there the losses and kernels must be close. Biases, and the statistics that follow from them,
are not compared there: a batch norm cancels most biases, so only rounding decides in which direction Adam moves them.
"""

import json

import numpy as np
import pytest
from recorded_steps import CASES, FIXTURE, played

RECORDED = json.loads(FIXTURE.read_text())


@pytest.fixture(scope="module")
def found():
    """({case: record}, fingerprint) of this machine."""
    return played(CASES)


def test_every_record_is_of_a_case():
    assert RECORDED.keys() == CASES.keys()


@pytest.mark.parametrize("case", CASES)
def test_steps_are_the_recorded_ones(case, found):
    recorded, (records, machine) = RECORDED[case], found
    record = records[case]
    assert record["networks"].keys() == recorded["networks"].keys()
    assert record["losses"].keys() == recorded["losses"].keys()
    if machine == recorded["machine"]:
        assert record["fresh"] == recorded["fresh"]
        for role, network in recorded["networks"].items():
            assert record["networks"][role]["sha256"] == network["sha256"], role
        assert record["losses"] == recorded["losses"]
    assert_close(record, recorded, bfloat16=CASES[case][0] == "mixed_bfloat16")


def assert_close(record, recorded, bfloat16):
    """Compares losses, and norms and first values of kernels; not the values in bfloat16, which has only 8 bits."""
    tolerance = 5e-3 if bfloat16 else 2e-4
    for name, losses in recorded["losses"].items():
        np.testing.assert_allclose(record["losses"][name], losses, rtol=tolerance, err_msg=name)
    for role, network in recorded["networks"].items():
        pairs = zip(record["networks"][role]["variables"], network["variables"], strict=True)
        for number, (variable, expected) in enumerate(pairs):
            where = f"{role}, variable {number}"
            assert variable["shape"] == expected["shape"], where
            if len(expected["shape"]) < 2:
                continue
            np.testing.assert_allclose(variable["norm"], expected["norm"], rtol=tolerance, err_msg=where)
            if not bfloat16:
                size = expected["norm"] / np.sqrt(np.prod(expected["shape"]))
                np.testing.assert_allclose(
                    variable["first"], expected["first"], rtol=tolerance, atol=tolerance * size, err_msg=where
                )

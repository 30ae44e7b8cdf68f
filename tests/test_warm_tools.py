import os
import signal
import subprocess

import pytest
import warm_tools
from helpers import run_tool, start_tool

COMMAND = ("evaluate.py", "--model=none_of_this_name", "--metrics=knn")
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}

pytestmark = pytest.mark.skipif(not warm_tools.can_start(ENVIRONMENT), reason="the tools are started cold here")


def test_a_copy_gives_what_a_process_of_its_own_gives():
    assert run_tool(*COMMAND) == run_tool(*COMMAND, cold=True)


def test_a_copy_has_the_environment_of_its_call(tmp_path):
    _, _, stderr = run_tool(*COMMAND, TF_BIGAN_ZOO=str(tmp_path / "no_such_zoo"))
    assert "no_such_zoo" in stderr and "no_such_zoo" not in run_tool(*COMMAND)[2]


def test_variables_that_libraries_read_at_import_need_a_process_of_their_own():
    assert warm_tools.can_start({**ENVIRONMENT, "TFDS_DATA_DIR": "elsewhere"})
    assert not warm_tools.can_start({**ENVIRONMENT, "KERAS_BACKEND": "jax"})
    assert not warm_tools.can_start({k: v for k, v in ENVIRONMENT.items() if k != "CUDA_VISIBLE_DEVICES"})


@pytest.mark.parametrize("cold", (False, True))
def test_unbuffered_output_of_a_killed_process_is_there(tmp_path, cold):
    script = tmp_path / "killed.py"
    script.write_text("import os; print('a line'); print('no end', end=''); os.kill(os.getpid(), 9)")
    tool = start_tool(script, cold=cold, PYTHONUNBUFFERED="1")
    assert tool.communicate(timeout=60) == ("a line\nno end", "")
    assert tool.returncode == -signal.SIGKILL


def test_signals_reach_a_copy(digits_dir, tmp_path):
    flags = (
        "--dataset=digits",
        "--networks=mlp",
        "--width=16",
        "--constant_epochs=100000",
        f"--workdir={tmp_path}/run",
    )
    tool = start_tool("train.py", *flags, f"--data_dir={digits_dir}")
    with pytest.raises(subprocess.TimeoutExpired):
        tool.communicate(timeout=0.1)
    assert tool.poll() is None
    tool.kill()
    assert tool.communicate(timeout=60) == ("", "")
    assert tool.returncode == tool.poll() == -signal.SIGKILL

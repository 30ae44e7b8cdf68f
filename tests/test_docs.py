"""README and docs: the table follows from the zoo, code runs, commands name tools and flags that exist."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers import ROOT, images, tiny_game

import tf_bigan
from tf_bigan.zoo.describing import models_table

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page):
    """The commands of a page that begin with "python tools/" or "python benchmarks/", with their lines joined."""
    text = re.sub(r" *\\\n\s+", " ", page.read_text())
    return re.findall(r"python ((?:tools|benchmarks)/\w+\.py[^\n`#]*)", text)


def known_flags(tool):
    """The flags that a tool's --help lists."""
    help_text = subprocess.run([sys.executable, ROOT / tool, "--help"], capture_output=True, text=True).stdout
    return set(re.findall(r"^  --(\w+)", help_text, re.M))


def test_the_tables_of_the_readme_follow_from_the_zoo():
    first, second = models_table(better=True), models_table(better=False)
    text = PAGES[0].read_text()
    assert -1 < text.index(first) < text.index(second)
    assert "`bigan_plus_cifar10`" in first and "`bigan_plus_cifar10`" not in second
    assert "`bigan_mnist`" in second and "`bigan_mnist`" not in first  # below raw pixels


def test_the_commands_of_the_pages_name_tools_and_flags_that_exist():
    asked = {}
    for page in PAGES:
        for command in commands(page):
            tool, *words = shlex.split(command)
            assert (ROOT / tool).is_file(), f"{page.name}: {command}"
            names = [word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")]
            if tool.startswith("tools/"):  # the tools in benchmarks/ have parsers of other kinds
                asked.setdefault(tool, {}).update(dict.fromkeys(names, f"{page.name}: {command}"))
    assert len(asked) > 8
    for tool, names in asked.items():
        known = known_flags(tool)
        for name, where in names.items():
            assert name in known or name.removeprefix("no") in known, f"--{name} in {where}"


def test_links_of_the_pages_lead_somewhere():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_code_that_adds_a_system_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "add_a_system.md").read_text(), re.S):
        exec(block, names)  # noqa: S102
    assert sorted(names["history"]) == ["contrast_loss", "discriminator_loss", "generator_loss"]
    assert 0 < names["Brightness"]().measure(tiny_game(), None, 0)["mean"] < 1


def test_the_code_that_uses_a_module_runs(tmp_path):
    names = {"images": images(20), "labels": np.arange(20) % 10}
    tf_bigan.export(tf_bigan.load("bigan_digits"), tmp_path / "module")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export_and_serve.md").read_text(), re.S):
        exec(block.replace("/tmp/", f"{tmp_path}/"), names)  # noqa: S102
    loaded = names["keras"].models.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(loaded(names["images"]), names["model"](names["images"]))


# The page on the theory has bodies of functions, which tests/games/test_theory.py runs.
TASKS = [page for page in PAGES if page.name != "what_the_game_converges_to.md"]


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.name)
def test_python_in_the_pages_is_python(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M):
        compile(block, page.name, "exec")


def test_the_notebook_runs_and_shows_what_it_gives(digits_dir, monkeypatch, capsys):
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(digits_dir))
    cells = json.loads((ROOT / "docs" / "quickstart.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names = {}
    for source in code:
        exec(source, names)  # noqa: S102
    accuracy = float(re.search(r"features: ([\d.]+) % of unseen digits", capsys.readouterr().out).group(1))
    assert accuracy > 90
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in shown)

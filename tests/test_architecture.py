"""Checks imports, the length of files and the number of parameters in the source text, without running it."""

import ast
import functools
import graphlib
import re

import pytest
from helpers import ROOT

# A room is a module or a package. A module imports only from its own room and from rooms before it in this order.
ROOMS = (
    *("errors", "reading", "memory", "files", "progress", "pieces", "panels", "domains", "preparation"),
    *("dataset_names", "registry", "experiment", "saving", "priors", "draws", "networks.kernels", "networks", "games"),
    *("data", "modules", "evaluation", "figures", "training", "exporting", "conversion", "zoo", "reproducing"),
    *("studies", "machine"),
)
TOOLS = "tools"  # above all rooms, and above tf_bigan's own names

LINES = 350
PARAMETERS = 8  # without self
# The constructors of networks, and `setting`, which makes a field of `Experiment`, may have more parameters.
_DESCRIBING = re.compile(r"tf_bigan\.networks\..*\.__init__|tf_bigan\.experiment\.setting\.setting")


def modules(folder):
    """Module name -> path for a folder of the checkout; a package's `__init__.py` has the package's name."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


LIBRARY = modules("tf_bigan")
EVERYTHING = {**LIBRARY, **modules(TOOLS)}


@functools.cache
def tree(path):
    return ast.parse(path.read_text())


def imports(path):
    """The modules of tf_bigan that a file imports, also inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import, which this test does not follow"
            # A name imported from a package is either a module of it or defined in its `__init__.py`.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in LIBRARY else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in LIBRARY)


def height(module):
    """The index of a module's room in the order of rooms; `tf_bigan` itself and tools come after all rooms."""
    if module == "tf_bigan":
        return len(ROOMS)
    if module.startswith(TOOLS + "."):
        return len(ROOMS) + 1
    name = module.removeprefix("tf_bigan.") + "."
    rooms = [room for room in ROOMS if name.startswith(room + ".")]
    assert rooms, f"{module} is in no room; give it a place in ROOMS, and in WORKSPACE.md"
    return ROOMS.index(max(rooms, key=len))


def test_every_room_is_there():
    assert {height(module) for module in LIBRARY} == set(range(len(ROOMS) + 1))


def test_imports_go_in_no_circle():
    try:
        graphlib.TopologicalSorter({name: set(imports(path)) for name, path in LIBRARY.items()}).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize("module", EVERYTHING)
def test_imports_go_down_the_order_of_rooms(module):
    above = [name for name in imports(EVERYTHING[module]) if height(name) > height(module)]
    assert not above, f"{module} imports {above[0]}, which is above it"


@pytest.mark.parametrize("module", EVERYTHING)
def test_kernels_have_one_door(module):
    door = "tf_bigan.networks.kernels"
    if not module.startswith(door):
        assert not [name for name in imports(EVERYTHING[module]) if name.startswith(door + ".")]


@pytest.mark.parametrize("module", EVERYTHING)
def test_no_file_is_too_long_for_one_sitting(module):
    lines = len(EVERYTHING[module].read_text().splitlines())
    assert lines <= LINES


def wide_functions(module):
    """The public functions and methods of a module with too many parameters, by name."""
    for where, node in public_functions(tree(EVERYTHING[module]), module):
        arguments = node.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        if len([name for name in names if name not in ("self", "cls")]) > PARAMETERS:
            yield where


def public_functions(node, where):
    for each in node.body:
        if not isinstance(each, ast.FunctionDef | ast.ClassDef):
            continue
        name = f"{where}.{each.name}"
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            yield from public_functions(each, name)
        elif isinstance(each, ast.FunctionDef) and (each.name == "__init__" or not each.name.startswith("_")):
            yield name, each


@pytest.mark.parametrize("module", EVERYTHING)
def test_no_public_function_takes_too_many_parameters(module):
    wide = {name for name in wide_functions(module) if not _DESCRIBING.fullmatch(name)}
    assert not wide


def test_an_installation_has_all_packages():
    told = re.search(r"^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)[1]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "tf_bigan").rglob("__init__.py")}
    assert set(re.findall(r'"(.*?)"', told)) == {".".join(folder.parts) for folder in folders} | {"tf_bigan._zoo"}

"""Zoos of one's own: folders, and servers that stall, truncate and lie."""

import dataclasses
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
import time

import pytest
from helpers import ROOT, images, run_tool, tiny
from test_zoo import make_run

import tf_bigan
from tf_bigan import zoo
from tf_bigan.errors import InputError
from tf_bigan.evaluation.measure import Headline
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import downloading, remote
from tf_bigan.zoo.describing import fact_rows


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `tricks` says what it does wrong: the end of a path -> how. With `once`, only once."""

    def do_GET(self):
        self.server.asked.append(self.path)
        trick = next((how for end, how in self.server.tricks.items() if self.path.endswith(end)), None)
        if trick is None:
            return super().do_GET()
        if self.server.once:
            self.server.tricks.clear()
        content = (self.server.folder / self.path.lstrip("/")).read_bytes()
        if trick == "refuse":
            return self.send_error(503)
        if trick == "stall":
            time.sleep(2)
            return None
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + 9 * (trick == "longer")))
        self.end_headers()
        if trick == "truncate":
            self.wfile.write(content[: len(content) // 2])
        elif trick == "change":
            self.wfile.write(bytes([content[0] ^ 1]) + content[1:])
        elif trick == "longer":
            self.wfile.write(content + b"too many.")
        elif trick == "drip":
            for n in range(20):
                self.wfile.write(content[n : n + 1])
                self.wfile.flush()
                time.sleep(0.1)
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A zoo with one model, "tiny", and the folder of the run that it is of."""
    folder = tmp_path_factory.mktemp("own")
    make_run(folder / "run")
    zoo.publish(folder / "run", "tiny", "nobody's data.", zoo=folder / "zoo", notes="Grey images only.")
    return folder


@pytest.fixture
def server(published, tmp_path, monkeypatch):
    """A server of a copy of the zoo, which TF_BIGAN_ZOO names; with an empty cache."""
    shutil.copytree(published / "zoo", tmp_path / "zoo")
    handler = functools.partial(Handler, directory=str(tmp_path / "zoo"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        made.folder, made.tricks, made.asked, made.once = tmp_path / "zoo", {}, [], False
        threading.Thread(target=made.serve_forever, daemon=True).start()
        made.address = f"http://127.0.0.1:{made.server_port}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TF_BIGAN_ZOO", made.address)
        monkeypatch.setenv("TF_BIGAN_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(downloading, "TIMEOUT", 0.4)
        remote._index.cache_clear()
        yield made
        made.shutdown()
    remote._index.cache_clear()


def cached(server):
    """The folder of the model "tiny" in the cache."""
    return remote.RemoteZoo(server.address).path / "tiny"


def test_folders_are_looked_up_in_order_before_the_project_s_zoo(published, tmp_path, monkeypatch):
    (tmp_path / "second" / "bigan_mnist").mkdir(parents=True)
    RunDirectory(tmp_path / "second" / "bigan_mnist").write_experiment(tiny(width=32))
    for between in (",", ":", " , "):
        monkeypatch.setenv("TF_BIGAN_ZOO", between.join(map(str, (published / "zoo", tmp_path / "second"))))
        assert {"tiny", "bigan_mnist", "bigan_digits"} <= set(zoo.list_models())
        assert zoo.run_path("tiny") == published / "zoo" / "tiny"
        assert zoo.run_path("bigan_mnist") == tmp_path / "second" / "bigan_mnist"
        assert zoo.run_path("bigan_digits") == zoo.zoo_path() / "bigan_digits"
        assert zoo.is_entry(published / "zoo" / "tiny") and not zoo.is_entry(published / "run")
    assert tf_bigan.load("tiny").encode(images(2)).shape == (2, 4)
    with pytest.raises(InputError, match="unknown model 'tinny'. Did you mean 'tiny'"):
        tf_bigan.load("tinny")


def test_places_are_separated_but_not_within_an_address(monkeypatch):
    monkeypatch.setenv("TF_BIGAN_ZOO", "/a:http://host:80/zoo:https://other/z,~/b c")
    monkeypatch.setenv("HOME", "/home/user")
    named = [getattr(place, "address", str(place.path)) for place in zoo.zoos()]
    assert named[:-1] == ["/a", "http://host:80/zoo", "https://other/z", "/home/user/b c"]
    assert named[-1] == str(zoo.zoo_path())


def test_a_folder_that_is_missing_is_named_and_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_BIGAN_ZOO", str(tmp_path / "none"))
    with pytest.warns(remote.ZooWarning, match="TF_BIGAN_ZOO names .*none', which is no folder"):
        assert "bigan_digits" in zoo.list_models()


def test_a_remote_model_is_fetched_once_and_then_used_offline(server, capsys):
    assert "tiny" in zoo.list_models("t*") and not cached(server).exists()
    model = tf_bigan.load("tiny")
    assert "fetching tiny" in capsys.readouterr().err
    assert {path.name for path in cached(server).iterdir()} == {
        path.name for path in (server.folder / "tiny").iterdir()
    }
    assert model.encode(images(2)).shape == (2, 4)
    server.shutdown()
    server.server_close()
    remote._index.cache_clear()  # as in a new process
    assert tf_bigan.load("tiny").encode(images(2)).shape == (2, 4)
    assert "tiny" in zoo.list_models()
    with pytest.raises(InputError, match="unknown model"):
        tf_bigan.load("other")


@pytest.mark.parametrize(
    "trick, said",
    [
        ("refuse", "encoder.weights.h5 cannot be had: the server answers 503"),
        ("stall", "encoder.weights.h5 (stalled|cannot be reached: no answer)"),
        ("drip", "encoder.weights.h5 stalled: nothing or little arrived in 0.4 s"),
        ("truncate", "encoder.weights.h5 (ended after|cannot be reached)"),
        ("change", "encoder.weights.h5 is not the file that the zoo's index describes: its SHA-256 differs"),
        ("longer", "encoder.weights.h5 has more than the expected"),
    ],
)
def test_a_server_that_does_wrong_leaves_nothing_behind(server, trick, said):
    server.tricks["encoder.weights.h5"] = trick
    with pytest.raises(InputError, match=said) as caught:
        tf_bigan.load("tiny")
    assert len(str(caught.value).splitlines()) <= 2
    assert not cached(server).exists() and not list(cached(server).parent.glob(".*.tiny"))
    server.tricks.clear()
    assert tf_bigan.load("tiny").encode(images(1)).shape == (1, 4)


def test_a_file_that_comes_at_the_second_try_is_taken(server):
    server.tricks["encoder.weights.h5"], server.once = "truncate", True
    assert tf_bigan.load("tiny").encode(images(1)).shape == (1, 4)
    assert sum(path.endswith("encoder.weights.h5") for path in server.asked) == 2


@pytest.mark.parametrize(
    "text",
    [
        "<html>Log in first</html>",
        "[" * 100_000,
        "[]",
        '{"format": 1, "entries": {"../tiny": {"kind": "model", "files": {}}}}',
        '{"format": 1, "entries": {"tiny": {"kind": "model", "files": {"/etc/x": {"bytes": 1, "sha256": "0"}}}}}',
        '{"format": 1, "entries": {"tiny": {"kind": "model", "files": {"x": {"bytes": -1, "sha256": ""}}}}}',
        '{"format": 1, "entries": {"tiny": null}}',
    ],
)
def test_an_index_that_is_none_is_named_and_passed_over(server, text):
    (server.folder / "zoo.json").write_text(text)
    with pytest.warns(remote.ZooWarning, match=r"zoo.json is no index of a zoo, or is damaged\nThe next zoo"):
        assert "bigan_digits" in zoo.list_models() and "tiny" not in zoo.list_models()


def test_a_server_without_an_index_and_one_that_is_not_there_are_passed_over(server, monkeypatch):
    (server.folder / "zoo.json").unlink()
    with pytest.warns(remote.ZooWarning, match="has no zoo.json; `python tools/gallery.py --zoo=FOLDER` writes it"):
        assert "bigan_digits" in zoo.list_models()
    monkeypatch.setenv("TF_BIGAN_ZOO", "http://127.0.0.1:9/zoo")
    with pytest.warns(remote.ZooWarning, match="http://127.0.0.1:9/zoo/zoo.json cannot be reached: .*refused"):
        assert "bigan_digits" in zoo.list_models()


@pytest.mark.parametrize("harm", ["emptied", "removed", "empty folder"])
def test_a_cache_that_lost_something_is_filled_again(server, harm):
    path = zoo.run_path("tiny")
    if harm == "emptied":
        (path / "generator.weights.h5").write_bytes(b"")
    elif harm == "removed":
        (path / "generator.weights.h5").unlink()
    else:
        shutil.rmtree(path)
        path.mkdir()
    assert tf_bigan.load("tiny").generate(2).shape == (2, 8, 8, 1)


def test_the_tools_see_a_zoo_of_ones_own(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_BIGAN_ZOO", f"{tmp_path}/none,{server.address}")
    status, stdout, stderr = run_tool("visualize.py", "--model=tiny", "--figures=samples", f"--output={tmp_path}")
    assert stderr.startswith(f"warning: TF_BIGAN_ZOO names '{tmp_path}/none', which is no folder")
    assert status == 0 and "fetching tiny" in stderr, stderr
    assert stdout.strip() == str(tmp_path / "samples.png")


def test_describing_a_model_needs_no_tensorflow(published, monkeypatch):
    monkeypatch.setenv("TF_BIGAN_ZOO", str(published / "zoo"))
    code = (
        "import sys, tf_bigan; tf_bigan.describe('tiny'); tf_bigan.describe('bigan_imagenet'); "
        "tf_bigan.describe('gan_cifar10'); assert 'tensorflow' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    tiny_s, imagenet, flags_only = (
        told.split("\nbigan_imagenet\n")[0],
        *told.split("\nbigan_imagenet\n")[1].split("\ngan_cifar10\n"),
    )
    for text in (
        "digits (train), 8x8x1",
        "2 epochs",
        "nobody's data.",
        "1.25; against other images 2.50",
        'load("tiny")',
    ):
        assert text in tiny_s
    assert "29.05 (conv2); untrained 25.35, pixels 11.15" in imagenet and "conv5 4x4x256" in imagenet
    assert "30 of 100" not in flags_only and "none yet; flags only" in flags_only and "weights=None" in flags_only


def test_a_run_that_is_not_published_is_described_too(published, capsys):
    tf_bigan.describe(published / "run")
    told = capsys.readouterr().out
    assert "h1 16" in told and "2 epochs" in told and "terms" not in told


def test_what_is_added_to_the_game_is_told_once():
    added = {"objective": "hinge", "rotation_encoder": 0.5, "discriminator_norm": False, "average_decay": 0.9}
    rows = fact_rows(dataclasses.replace(zoo.facts("bigan_digits"), experiment=tiny(**added)))
    assert dict(rows)["added to the game"].split(", ") == [
        "discriminator_norm=false",
        "objective=hinge",
        "rotation_encoder=0.5 (a self-supervised task; Gidaris et al. 2018)",
    ]
    assert len(dict(rows)) == len(rows) and "averages" in dict(rows)
    assert "added to the game" not in dict(fact_rows(zoo.facts("bigan_mnist")))


def test_a_number_that_is_no_better_than_its_baselines_is_told_of():
    def row(value, lower_is_better=False, **baselines):
        number = Headline("1-NN accuracy, %", value, "", baselines, lower_is_better)
        found = dataclasses.replace(zoo.facts("bigan_digits"), headlines={"knn": number})
        return dict(fact_rows(found)).get("for study only")

    of_both = "the 1-NN accuracy is no better than that of the same network before training and of raw pixels"
    assert row(90.0, untrained=90.0, pixels=91.0) == of_both
    assert row(90.001, untrained=90.0) is not None  # alike at two decimals
    assert row(90.01, untrained=90.0, pixels=90.0) is None
    assert row(1.0, lower_is_better=True, untrained=2.0) is None
    assert row(2.0, lower_is_better=True, untrained=1.0) is not None
    assert row(1.0) is None and row(1.0, others=2.0) is None  # compared with no features


def test_every_entry_has_facts():
    for name in zoo.list_models():
        found = zoo.facts(name)
        assert found.terms and found.parameters and found.layers, name
        if found.epochs is not None:
            assert found.reproduces and found.headlines, name
        if found.bytes:
            assert "samples.png" in found.pictures, name


def test_cards_of_the_project_follow_from_their_files():
    from tf_bigan.zoo.card import card, notes_of

    for name in zoo.list_models():
        folder = zoo.zoo_path() / name
        if (folder / zoo.REPORT).exists():
            text = (folder / zoo.CARD).read_text()
            assert text == card(folder, name, notes_of(text)), name


def test_a_card_s_lines_work_in_a_zoo_of_ones_own(published, tmp_path):
    entry = published / "zoo" / "tiny"
    text = (entry / "README.md").read_text()
    assert f'model = tf_bigan.load("{entry}")' in text and f"--flagfile={entry}/train.flags" in text
    assert f"--model={entry} --metrics" in text and "Grey images only." in text
    assert "| reproduces | yes |" in text and "| weights | " in text


def test_pictures_are_drawn_onto_the_card(published, tmp_path, digits_dir):
    shutil.copytree(published / "zoo", tmp_path / "zoo")
    arguments = ["--draw", "--name=tiny", f"--zoo={tmp_path}/zoo", f"--data_dir={digits_dir}"]
    status, _, stderr = run_tool("publish.py", *arguments)
    assert status == 0, stderr
    entry = tmp_path / "zoo" / "tiny"
    text = (entry / "README.md").read_text()
    assert "![Samples](samples.png)" in text and "(reconstructions.png)" in text and "Grey images only." in text
    sums = (entry / "SHA256SUMS").read_text()
    assert "samples.png" in sums and "reconstructions.png" in sums
    listed = json.loads((tmp_path / "zoo" / "zoo.json").read_text())["entries"]["tiny"]["files"]
    assert listed.keys() == {path.name for path in entry.iterdir()}
    status, _, stderr = run_tool("publish.py", *arguments, "--terms=x")
    assert status == 2 and "--draw takes an entry as it is" in stderr


def test_the_gallery_is_one_page_with_pictures(tmp_path):
    status, stdout, stderr = run_tool("gallery.py", f"--output={tmp_path}")
    assert status == 0 and stdout.strip() == str(tmp_path / "index.html"), stderr
    page = (tmp_path / "index.html").read_text()
    for name in zoo.list_models():
        assert f'<article id="{name}">' in page and f'<a href="#{name}">' in page
    assert "29.05 (conv2)" in page and "untrained 25.35, pixels 11.15" in page
    assert "tf_bigan.load(&quot;bigan_mnist&quot;)" in page and "weights=None" in page
    for picture in ("bigan_imagenet/samples.png", "bigan_imagenet/reconstructions.png"):
        assert f'src="{picture}"' in page and (tmp_path / picture).is_file()


def test_the_gallery_of_a_zoo_of_ones_own_lies_in_it_with_the_index(published, tmp_path):
    shutil.copytree(published / "zoo" / "tiny", tmp_path / "zoo" / "tiny")
    status, stdout, stderr = run_tool("gallery.py", f"--zoo={tmp_path}/zoo")
    assert status == 0 and stdout.strip() == str(tmp_path / "zoo" / "index.html"), stderr
    assert "tiny" in json.loads((tmp_path / "zoo" / "zoo.json").read_text())["entries"]
    status, _, stderr = run_tool("gallery.py", f"--zoo={tmp_path}/none")
    assert status == 2 and stderr.startswith("error: ") and len(stderr.splitlines()) == 1
    status, _, stderr = run_tool("gallery.py")
    assert status == 2 and "--output is required" in stderr

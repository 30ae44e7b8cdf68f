# make demo: train, evaluate, export and draw a small BiGAN.   make test: lint and test.
# Both make the environment .venv first, from PYTHON (default python3).

PYTHON ?= python3
BIN := .venv/bin
RUN := demo/bigan_digits
DATA := --data_dir=demo/data

.PHONY: demo test lint format clean

demo: .venv/ready
	$(BIN)/python tools/train.py --flagfile=zoo/bigan_digits/train.flags --workdir=$(RUN) $(DATA)
	$(BIN)/python tools/evaluate.py --model=$(RUN) --metrics=knn,linear,reconstruction \
		'--layers=penultimate,crelu(h2_norm),outputs' $(DATA)
	$(BIN)/python tools/export.py --model=$(RUN) --output=demo/module
	$(BIN)/python tools/extract_features.py --module=demo/module --dataset=digits --output=demo/features.npz $(DATA)
	$(BIN)/python tools/visualize.py --model=$(RUN) --output=demo/pictures $(DATA)

test: .venv/ready lint
# Most tests keep one core busy. loadfile: the tests of a file share its fixtures.
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check tf_bigan tools tests benchmarks docs/*.py setup.py

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format tf_bigan tools tests benchmarks docs/*.py setup.py

clean:
	rm -rf demo build dist *.egg-info .pytest_cache .ruff_cache

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	# compat: else Python started in the folder above finds the checkout as a namespace package first.
	$(BIN)/pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable ".[dev]"
	touch $@

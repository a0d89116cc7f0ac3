# Two commands: `make lab` opens the lab, `make test` runs the quick suite. Both build .venv when it is missing.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHARED_DATA := $(abspath ../shared/data)
export LABKIT_DATA ?= $(if $(wildcard $(SHARED_DATA)),$(SHARED_DATA),)
# JupyterLab asks nobody for news, updates or extensions; its token stays.
AT_HOME := --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
  --LabApp.extension_manager=readonly
OPENERS := notebooks/0_start_here.ipynb $(wildcard notebooks/*/1_*.ipynb)
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root,)

.PHONY: lab test lint notebooks figures student solutions slides bench clean help

help:
	@echo "make lab        open JupyterLab on notebooks/0_start_here.ipynb"
	@echo "make test       quick test suite (lint included); make lint: ruff alone"
	@echo "make test-oldest  the same tests with the oldest versions that pyproject.toml allows"
	@echo "make notebooks  build and execute every notebook from notebooks/src; with NOTEBOOK=theme/name one, as figures,"
	@echo "                student and solutions do"
	@echo "make figures    every figure of the notebooks as PNG and SVG, in results/figures/notebooks"
	@echo "make student    the notebooks without answers, in build/student; make solutions: with them unfolded"
	@echo "make slides     the openers of the themes as slides, in build/slides; with OFFLINE=1 to show without network"
	@echo "make bench      ratios against named peers"
	@echo "make clean      remove .venv, build and caches"

lab: export JUPYTER_CONFIG_PATH := $(CURDIR)/notebooks/src/jupyter:$(JUPYTER_CONFIG_PATH)
lab: $(STAMP)
	$(BIN)/jupyter lab $(ROOT_FLAG) $(AT_HOME) --LabApp.default_url=/lab/tree/notebooks/0_start_here.ipynb

test: $(STAMP) lint
	$(BIN)/python -m pytest -n auto --dist loadgroup $(PYTEST_ARGS)

# By hand, before a release: in a virtual environment of its own. Browser and notebooks are JupyterLab's to try.
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -n auto --dist loadgroup --ignore=tests/browser --ignore=tests/notebooks $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .

notebooks: $(STAMP)
	$(BIN)/python notebooks/src/build.py $(NOTEBOOK)

figures: $(STAMP)
	$(BIN)/python notebooks/src/build.py --figures results/figures/notebooks --output build/notebooks $(NOTEBOOK)

student solutions: $(STAMP)
	$(BIN)/python notebooks/src/exercises.py $@ $(NOTEBOOK)

# Cells say in their metadata what becomes a slide; figures stand without the code that drew them. The pages fetch
# reveal.js and MathJax when they are shown; for a room without network, `make slides OFFLINE=1` has npm put them into
# build/slides/lib once, and the folder can be carried there.
SHOWN_WITH := reveal.js@4.0.2 requirejs@2.3.7 jquery@2.2.4 mathjax@2.7.9
LIB := lib/node_modules
AT_HAND := --SlidesExporter.reveal_url_prefix=$(LIB)/reveal.js \
  --SlidesExporter.require_js_url=$(LIB)/requirejs/require.js \
  --SlidesExporter.jquery_url=$(LIB)/jquery/dist/jquery.min.js \
  --SlidesExporter.mathjax_url='$(LIB)/mathjax/MathJax.js?config=TeX-AMS_CHTML-full,Safe'

build/slides/lib:
	npm install --silent --no-audit --no-fund --prefix $@ $(SHOWN_WITH) || { rm -rf $@; exit 1; }

slides: $(STAMP) $(if $(OFFLINE),build/slides/lib)
	$(BIN)/jupyter nbconvert --to slides --output-dir build/slides --SlidesExporter.reveal_scroll=True \
	  --SlidesExporter.reveal_width=1280 --SlidesExporter.reveal_height=800 \
	  --SlidesExporter.exclude_input_prompt=True --SlidesExporter.exclude_output_prompt=True \
	  --TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_input_tags=hide-input $(if $(OFFLINE),$(AT_HAND)) $(OPENERS)

bench: $(STAMP)
	$(BIN)/labkit bench

# The constraints hold the versions that were green; torch is pinned there.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "labkit needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

.venv-oldest/.installed: pyproject.toml constraints-oldest.txt
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e '.[dev]'
	@touch .venv-oldest/.installed

clean:
	rm -rf $(VENV) .venv-oldest build *.egg-info .pytest_cache .ruff_cache .hypothesis

# The book of Gumbel-Softmax: `make help` lists what there is.
PYTHON ?= python3
WORKERS ?= 2
TORCH_INDEX ?=
BIN := .venv/bin
INSTALLED := .venv/installed

# The book and the tests run small: minutes on a laptop, one thread per process.
export GSLIB_BUDGET ?= smoke
export OMP_NUM_THREADS ?= 1

.PHONY: help book pdf browser test tested mutants lint translated dist clean address
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1	/' | expand -t 18
	@echo
	@echo "  PYTHON=python3.12 takes another Python (3.11 or newer); WORKERS=4 tests in four processes;"
	@echo "  TORCH_INDEX=address takes torch and torchvision from there, such as the CPU-only builds (see README.md);"
	@echo "  GSLIB_DATA=folder has the data sets."

$(INSTALLED): requirements.txt pyproject.toml
	@echo "Installing what requirements.txt lists into .venv (some minutes the first time)."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url $(TORCH_INDEX) torch torchvision)
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@

# A page that was read once with a warning would pass the next time: after a failure, read all pages again.
book: $(INSTALLED) ## run every notebook that changed, and render the book to _build/html, in Japanese to _build/html/ja
	@rm -f _build/built && mkdir -p _build && touch _build/building
	@$(BIN)/jupyter-book build . -W -n --keep-going || \
	{ rm -rf _build/.doctrees; echo "The book is NOT built: the first warning or failing cell is above." >&2; exit 1; }
	@$(BIN)/python book/tools/japanese.py || echo "The Japanese edition is NOT built." >&2
	@mv _build/building _build/built
	@echo "The book is at $(CURDIR)/_build/html/index.html"

pdf: book ## print both editions to gumbel-softmax-book.pdf in their folders (needs Chromium, and fonts-noto-cjk)
	$(BIN)/python book/tools/pdf.py
	GSLIB_LANGUAGE=ja $(BIN)/python book/tools/pdf.py

browser: $(INSTALLED) ## test the built book: links, and in Chromium its pages and interactive figures
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/browser

# The chapters run in their editions for Colab, each in an empty folder by a kernel of its own (tests/book/alone.py). A file is one worker's.
test: $(INSTALLED) ## run the tests, and every notebook as a test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-cell-timeout=600 --nbval-kernel-name=alone --nbval-kernel-startup-timeout=600 --ignore=notebooks/colab/ja tests notebooks/colab

tested: $(INSTALLED) ## run every chapter as a test, and note it in results/tested.json
	$(BIN)/python book/tools/status.py

# Hours of one core, and so no part of the gate: MUTANTS="gsbook.records*" takes a part, "gsbook.engine*" the engine. What survived is listed at the end.
mutants: $(INSTALLED) ## change trainers, evaluation, records and engine in small ways, and see whether the tests notice
	$(BIN)/python -m pip install --quiet mutmut==3.8.1
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

lint: $(INSTALLED) ## check the style of the code, and that notebooks are normalised and their editions for Colab up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python book/tools/notebooks.py --check
	$(BIN)/python book/tools/colab.py --check
	$(BIN)/python book/tools/citation.py --check

translated: $(INSTALLED) ## fail where a Japanese text is older than its English
	$(BIN)/python book/tools/translation.py check --release

# The wheel is made from the source distribution, so that a fault of either shows.
dist: $(INSTALLED) ## build wheel and source distribution into dist, and test both
	rm -rf dist build
	$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('dist')"
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz
	DIST=dist $(BIN)/python -m pytest tests/book/test_distribution.py

clean: ## remove what was built; .venv stays
	rm -rf _build dist mutants .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The shell gets the address from the environment, where no quote or backquote in it means anything.
address: $(INSTALLED) ## move the book: make address URL=https://host/owner/repository
	@test -n "$$URL" || { echo "usage: make address URL=https://host/owner/repository" >&2; exit 2; }
	$(BIN)/python book/tools/notebooks.py --address "$$URL"

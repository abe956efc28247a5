# make demo [TEXT="a sentence"]   from nothing to a trained, packaged recogniser, on real data
# make test                       a fresh environment, and all checks against the installed wheel
# make docs                       API pages in docs/api; PYTHON needs the package's extra dev
#
# PYTHON: any Python >= 3.10. VENV_DIR: the folder for the environments that are made.

PYTHON ?= python3
VENV_DIR ?= .
TEXT ?=

DEMO := $(abspath $(VENV_DIR))/.venv-demo
USER_ENV := $(abspath $(VENV_DIR))/.venv-demo-user
TEST := $(abspath $(VENV_DIR))/.venv-test
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt

export TEXT

.PHONY: demo test docs clean

demo:
	$(PYTHON) -m venv --clear "$(DEMO)"
	rm -rf build
	"$(DEMO)/bin/python" $(PIP) ".[demo]"
	"$(DEMO)/bin/python" scripts/demo.py --user-env "$(USER_ENV)" --text "$$TEXT"

# The wheel is made from the sdist, and the tests see the wheel and not this folder: pytest's own
# command, unlike python -m pytest, does not put the current folder on the path. There is a process
# for each processor, at most four, and each keeps to one thread.
test:
	$(PYTHON) -m venv --clear "$(TEST)"
	rm -rf build
	"$(TEST)/bin/python" $(PIP) build 'setuptools>=77' wheel
	"$(TEST)/bin/python" -m build --no-isolation --outdir "$(TEST)/dist" . > "$(TEST)/build.log" 2>&1 \
		|| { cat "$(TEST)/build.log"; exit 1; }
	"$(TEST)/bin/python" $(PIP) "$$(ls "$(TEST)"/dist/*.whl)[dev]"
	cd "$(TEST)" && bin/python -W error -c "import spacy_hetner; print(spacy_hetner.__file__)"
	"$(TEST)/bin/ruff" check .
	"$(TEST)/bin/ruff" format --check .
	"$(TEST)/bin/mypy" spacy_hetner scripts/*.py
	OMP_NUM_THREADS=1 "$(TEST)/bin/pytest" -n logical --maxprocesses 4 --dist loadfile

docs:
	$(PYTHON) scripts/build_docs.py

clean:
	rm -rf build dist *.egg-info .venv-demo .venv-demo-user .venv-test

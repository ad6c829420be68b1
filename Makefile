# make demo | test | test-browser | test-kit | lab | workshop | doctor | site | wheelhouse | notebooks | lint.
# Everything goes into .venv; nothing outside this folder is touched.

PYTHON ?= python3
CATEGORY ?= screw_block
RUN = .venv/bin/python -m mfkit run --data data/mini-iad --features runs/demo/features
PLAIN = $(RUN) --preset improved $(if $(filter all,$(CATEGORY)),,--category $(CATEGORY)) --out runs/demo/plain
WIRES = $(RUN) --preset together --category wire_plug --out runs/demo/wires
NBVAL = -p tests.support.kernels --nbval --nbval-current-env --nbval-cell-timeout=600 --nbval-sanitize-with=tests/sanitize.cfg
CHROMIUM = command -v chromium >/dev/null || command -v chromium-browser >/dev/null

.PHONY: demo test test-browser test-kit lab workshop doctor site wheelhouse notebooks lint

demo: .venv/mfkit
	$(PLAIN)/wheel --graph wheel
	$(PLAIN)/separated --graph empty
	$(WIRES)/wheel --graph wheel
	$(WIRES)/separated --graph empty
	$(PLAIN)/gaussian --method gaussian --no-linear
	$(PLAIN)/neighbours --method neighbours --backbone efficientnet_lite0
	$(WIRES)/gaussian --method gaussian
	@echo
	@.venv/bin/python -m mfkit table runs/demo/plain/neighbours $(patsubst %,runs/demo/*/%,gaussian separated wheel)
	@echo
	@ls runs/demo/*/*/*/overview.png

test: .venv/mfkit-test
	@$(CHROMIUM) || echo "No Chromium here, so the browser tests are skipped: apt-get install chromium brings it."
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m pytest -n 2 --dist worksteal
	MFKIT_FAST=1 .venv/bin/python -m pytest -n 2 --dist loadfile -o addopts=-ra $(NBVAL) notebooks/*.ipynb notebooks/solutions/*.ipynb

# Lesson 6 in a real browser; leaves screenshots in runs/browser. Needs: apt-get install chromium
test-browser: .venv/mfkit-test
	@$(CHROMIUM) || { echo "No Chromium here: apt-get install chromium brings it."; exit 1; }
	.venv/bin/python -m pytest tests/browser

lab: .venv/mfkit-course
	.venv/bin/jupyter lab notebooks --LabApp.default_url=/lab/tree/index.ipynb

# For a class: working copies in runs/workshop, in the fast setting. TEACHING.md says more.
workshop: .venv/mfkit-course
	.venv/bin/python -m mfkit workshop

doctor: .venv/mfkit-course
	.venv/bin/python -m mfkit doctor

# The course as a web book in runs/site, which opens from disk.
site: .venv/mfkit-site
	.venv/bin/python notebooks/teaching/book.py

# All that the course needs, as wheels for a stick: TEACHING.md. PIP_OPTIONS, such as an index of CPU builds.
wheelhouse:
	$(PYTHON) -m pip wheel --wheel-dir runs/wheelhouse --find-links runs/wheelhouse $(PIP_OPTIONS) 'setuptools>=77' '.[course]'

# Makes environments of gigabytes, runs lessons in full, in a browser, by nbgrader: half an hour, and a network.
test-kit: .venv/mfkit-test
	.venv/bin/python -m pytest -m kit

# Writes the notebooks and their outputs from notebooks/source, in the fast setting.
notebooks: .venv/mfkit-test
	.venv/bin/python notebooks/build.py

lint: .venv/mfkit-test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# One stamp for each set of packages; a changed pyproject.toml installs again.
.venv/mfkit: EXTRAS =
.venv/mfkit-course: EXTRAS = [course]
.venv/mfkit-course: HOLDS = .venv/mfkit
.venv/mfkit-site: EXTRAS = [site]
.venv/mfkit-site: HOLDS = .venv/mfkit
.venv/mfkit-test: EXTRAS = [test,render,browser]
.venv/mfkit-test: HOLDS = .venv/mfkit .venv/mfkit-course .venv/mfkit-site
.venv/mfkit .venv/mfkit-course .venv/mfkit-site .venv/mfkit-test: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12 ...')"
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.$(EXTRAS)'
	touch $@ $(HOLDS)

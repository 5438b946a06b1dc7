# Short names for the commands of CONTRIBUTING.md.

PYTHON ?= python3
DEV = .venv-dev/bin/python
BENCH ?= start
ARGS ?=
ENGINE ?= docker
IMAGE ?= are-you-a-cat
EXTRAS ?= shap s3 mlflow

.PHONY: setup run test lint bench pins mutants release image

setup: .venv/bin/are-you-a-cat .venv-dev/installed.txt

run: .venv/bin/are-you-a-cat
	.venv/bin/are-you-a-cat serve

test:
	$(PYTHON) -m tests $(ARGS)

lint: .venv-dev/installed.txt
	$(DEV) -m ruff check
	$(DEV) -m ruff format --check
	$(DEV) -m pyright

# One benchmark: make bench BENCH=accuracy ARGS="people wild"
bench: .venv-dev/installed.txt
	$(DEV) -m benchmarks.$(BENCH) $(ARGS)

# All pins, or some: make pins ARGS="pillow gradio"
pins: .venv-dev/installed.txt
	$(DEV) -m tests.pins $(ARGS)

# The image: make image ENGINE=podman EXTRAS="s3". Only docker's format knows of HEALTHCHECK.
image:
	@test -e web/static/browser/are-you-a-cat.js || \
		echo "The image will be without the engine for browsers: \`python -m web.build\` makes it."
	BUILDAH_FORMAT=docker $(ENGINE) build -f deploy/Dockerfile -t $(IMAGE) --build-arg EXTRAS="$(EXTRAS)" \
		--build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' cat_model/__init__.py)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" $(ARGS) .

# Hours: make mutants ARGS="--count 20 cat_model"
mutants: .venv-dev/installed.txt
	$(DEV) -m tests.mutants $(ARGS)

# Nothing is pushed without --push: make release ARGS="--key key.pem"
release: .venv-dev/installed.txt
	$(DEV) -m deploy.release $(ARGS)

.venv/bin/are-you-a-cat: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet -r requirements.txt
	.venv/bin/pip install --quiet --no-deps --editable .
	touch $@

# The test command makes this environment itself; asked for pytest's version, it does nothing else.
.venv-dev/installed.txt: requirements-dev.txt
	$(PYTHON) -m tests --version
	touch $@

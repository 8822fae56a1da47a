# What Robust Vision Models Know. `make book` and `make test` set up .venv by themselves.
# A fresh machine needs python3 (3.11 or newer), make and a package registry.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# On one core, and memory that is freed is kept for the next tensor: new pages can cost more than the sums (glibc).
STEADY := OMP_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483648

.DEFAULT_GOAL := book
.PHONY: env env-newest book slides pdf pdf-student site student instructor serve test lint bench refresh refresh-all

env: $(READY)

# Done again only when the lock or the project definition changes.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit(f"python 3.11 or newer is needed, found {v[0]}.{v[1]}")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv --quiet pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv --quiet pip install --python $(BIN)/python --no-deps --editable .
	touch $@

# Newest versions that pyproject.toml allows, not those of the lock; `rm -r .venv` leads back.
env-newest:
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv --quiet pip install --python $(BIN)/python --upgrade --all-extras --requirements pyproject.toml
	$(BIN)/uv --quiet pip install --python $(BIN)/python --no-deps --editable .
	touch $(READY)

# Renders what is committed; executes nothing. Stale pages are listed, and rendered as they are.
book: env
	$(BIN)/featurelens book prepare
	$(BIN)/jupyter-book build book -W -n --keep-going --all --path-output . \
		--config _build/_config.yml --toc $(CURDIR)/_toc.yml
	@echo "The book is at _build/html/index.html"

# The book without any solution, and with all of them open and the pages for instructors.
student instructor: env
	$(BIN)/featurelens book prepare
	$(BIN)/featurelens book edition $@
	$(BIN)/jupyter-book build _build/$@/source -W -n --keep-going --all --path-output _build/$@ \
		--config _build/$@/_config.yml --toc $(CURDIR)/_build/$@/_toc.yml
	mv _build/$@/_build/html _build/$@/html
	@echo "The $@ edition is at _build/$@/html/index.html"

serve: book
	$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 8000

# A deck of slides for each page, with its stored figures; executes nothing.
slides: env
	$(BIN)/featurelens slides

# All pages in one file, with and without solutions; needs Chromium, and says so where there is none.
pdf: book
	$(BIN)/featurelens pdf

pdf-student: student
	$(BIN)/featurelens pdf --built _build/student/html --toc _build/student/_toc.yml --out _build/pdf/student.pdf

# What a web server needs: the book, and beside it the slides and the PDF.
site: book slides pdf
	rm -rf _build/html/slides
	cp -r _build/slides _build/html/slides
	test ! -f _build/pdf/book.pdf || cp _build/pdf/book.pdf _build/html/book.pdf

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/featurelens book check --pairs

test: lint
	$(STEADY) $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

bench: env
	$(BIN)/python -m benchmarks

# Executes stale pages at every scale this machine reaches; FEATURELENS_SCALE sets another limit.
refresh: env
	$(BIN)/featurelens book refresh

refresh-all: env
	$(BIN)/featurelens book refresh --all

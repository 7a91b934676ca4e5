# Everything runs in .venv, made on first use. Wheels only: nothing is compiled.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
DEMO := work_dirs/demo

.PHONY: demo test test-slow lint docs clean

$(VENV)/installed: setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -e ".[lite,test]"
	touch $@

demo: $(VENV)/installed  ## train, evaluate, predict and time VoVNet-39 Mask R-CNN
	$(BIN)/python tools/demo.py --work-dir $(DEMO)

test: $(VENV)/installed
	$(BIN)/python -m pytest

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/installed
	$(BIN)/python docs/check_links.py

clean:
	rm -rf $(VENV) build *.egg-info work_dirs

# Everything runs in .venv, made on first use, from wheels alone: nothing is compiled.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
CONFIG := configs/vovnet39_maskrcnn.py
DEMO := work_dirs/demo

.PHONY: demo bccd test test-slow bench-gpu docs lint clean

$(VENV)/installed: setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -e ".[lite,test]"
	touch $@

# Train, evaluate, predict and time VoVNet-39 Mask R-CNN on generated shapes.
demo: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/python tools/train.py $(CONFIG) --data shapes --preset quick --amp --work-dir $(DEMO)
	$(BIN)/python tools/test.py $(DEMO)/vovnet39_maskrcnn.py $(DEMO)/epoch_4.pth --work-dir $(DEMO)
	$(BIN)/python tools/predict.py $(DEMO)/vovnet39_maskrcnn.py $(DEMO)/epoch_4.pth \
	  'data/shapes/val/*0.jpg' --out-dir $(DEMO)/predictions --batch-size 8
	$(BIN)/python tools/benchmark.py $(DEMO)/vovnet39_maskrcnn.py \
	  --checkpoint $(DEMO)/epoch_4.pth --image data/shapes/val/val_000000.jpg \
	  --rounds 3 --min-runs 20 --min-seconds 3 --max-seconds 10 --layers --out $(DEMO)
	$(BIN)/python tools/report.py $(DEMO) --out $(DEMO)/report
	@echo 'pictures: $(DEMO)/predictions/vis; page: $(DEMO)/report/report.html'

# The comparison of docs/results.md: six detectors of five families, trained on BCCD from
# random weights alike, evaluated, timed in turns and reported. About five hours on two
# cores, by estimate; started again, it goes on where it was.
BCCD ?= data/bccd
CELLS_OUT ?= work_dirs/bccd
CELLS := ssdlite320_mobilenetv1_coco ssdlite320_mobilenetv2_coco \
  ssdlite320_shufflenetv2_coco ssdlite320_ghostnet_coco \
  dsod300_vovnet27-slim_coco refinedet320_vovnet27-slim_coco

bccd: $(VENV)/installed
	for name in $(CELLS); do \
	  out=$(CELLS_OUT)/$$name; \
	  $(BIN)/python tools/train.py $$name.py --preset cells --data $(BCCD) --amp \
	    --channels-last --resume --work-dir $$out && \
	  $(BIN)/python tools/test.py $$out/$$name.py $$out/best_*.pth --work-dir $$out \
	    || exit 1; \
	done
	$(BIN)/python tools/benchmark.py $(foreach n,$(CELLS),$(CELLS_OUT)/$n/$n.py) \
	  --checkpoint $(foreach n,$(CELLS),$(CELLS_OUT)/$n/best_*.pth) \
	  --image $(BCCD)/VOC2007/JPEGImages/BloodImage_00007.jpg --layers --energy \
	  --min-runs 50 --min-seconds 5 --max-seconds 20 --out $(CELLS_OUT)/results
	$(BIN)/python tools/report.py $(CELLS_OUT) --out $(CELLS_OUT)/report

# A file of tests stays in one process, for its tests share what is slow to build.
test: $(VENV)/installed
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

# Every detector of the papers on the GPU, in 20 minutes at most. Installs nothing, so
# that it runs without a network: in .venv if it is there, else in the Python that has
# torch, mmdet and mmcv (by wheels or PYTHONPATH).
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
MINUTES ?= 20
OUT ?= results/suite

bench-gpu:
	PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" \
	  $(GPU_PYTHON) tools/bench_suite.py --device cuda --minutes $(MINUTES) --out $(OUT)

# The site, in docs/_build: warnings are errors, and so are dead links inside of it and in
# the README. Links to other hosts are not checked, since that would need a network.
docs: $(VENV)/docs-installed
	$(BIN)/python docs/draw_blocks.py
	rm -rf docs/_build
	$(BIN)/sphinx-build -W --keep-going -n -q docs docs/_build
	$(BIN)/python docs/check_links.py docs/_build README.md

$(VENV)/docs-installed: $(VENV)/installed
	$(BIN)/python -m pip install -e ".[docs]"
	touch $@

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) build docs/_build *.egg-info work_dirs

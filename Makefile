# make demo    train, evaluate and predict on procedural shapes (runs/demo)
# make test    the tests
# make test-slow  what takes long: a training, 25 kills, all device counts (more than an hour)
# make check   lint, format, types
# make ablations  trains every variant on shapes, three times each (hours); goes on where it stopped
# make bench   how long things take (runs/speed.json); make bench-peers: beside torchvision
# make walkthrough  a walk through the detector of the demo, with pictures: docs/walkthrough.md
# make docs    the API reference, in build/docs
# make parity  the numbers of torchvision, which it installs (5.4 GB, 2 minutes), and of the goldens
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow ablations bench bench-peers walkthrough docs parity check clean

demo: .venv/installed
	./demo.sh

test: .venv/installed-test
	$(BIN)/python -m pytest

# The training needs the data beside the repository.
test-slow: .venv/installed-test
	$(BIN)/python -m pytest -s -o addopts= tests/slow

ablations: .venv/installed-test
	$(BIN)/python -m benchmarks.ablations

bench: .venv/installed-test
	$(BIN)/python -m benchmarks.speed

bench-peers: .venv/installed-test .venv-peers/installed
	$(BIN)/python -m benchmarks.speed --peer-python .venv-peers/bin/python

walkthrough: demo .venv/installed-test
	OUT=docs/walkthrough $(BIN)/python -m examples.render examples/walkthrough.py docs/walkthrough.md

docs: .venv/installed-docs
	$(BIN)/python docs/api.py build/docs

GOLDENS := ../shared/golden
GOLDEN_CHECKS := \
  detectron2_mask_rcnn_R_50_FPN_noaug_1x:detectron2_r50_fpn_noaug_1x \
  detectron2_mask_rcnn_R_50_FPN_3x_a:detectron2_r50_fpn_3x \
  detectron2_mask_rcnn_R_50_FPN_3x_b:detectron2_r50_fpn_3x \
  detectron2_mask_rcnn_R_50_FPN_3x_train:detectron2_r50_fpn_3x \
  mmdet_mask_rcnn_r50_fpn_1x:mmdetection_r50_fpn_1x \
  detectron2_cascade_mask_rcnn_R_50_FPN_3x:detectron2_cascade_r50_fpn_3x \
  mmdet_cascade_mask_rcnn_r50_fpn_1x:mmdetection_cascade_r50_fpn_1x \
  mmdet_ms_rcnn_r50_caffe_fpn_1x:mmdetection_ms_rcnn_r50_caffe_fpn_1x \
  mmdet_htc_without_semantic_r50_fpn_1x:mmdetection_htc_without_semantic_r50_fpn_1x \
  mmdet_htc_r50_fpn_1x:mmdetection_htc_r50_fpn_1x \
  mmdet_solov2_r50_fpn_1x:mmdetection_solov2_r50_fpn_1x \
  detectron2_pointrend_R_50_FPN_3x:detectron2_point_rend_r50_fpn_3x \
  mmdet_point_rend_r50_caffe_fpn_1x:mmdetection_point_rend_r50_caffe_fpn_1x

# Against Detectron2's and MMDetection's goldens, where they are, and against torchvision itself:
# about ten minutes on two cores.
parity: .venv/installed-test .venv-peers/installed
	@test ! -d $(GOLDENS) || for check in $(GOLDEN_CHECKS); do \
	  echo; echo "$${check%:*}"; \
	  $(BIN)/python tests/parity/check_golden.py $(GOLDENS)/$${check%:*}.npz \
	    --preset $${check#*:} || exit 1; \
	done
	$(BIN)/python tests/parity/torchvision_live.py --torch-python .venv-peers/bin/python

check: .venv/installed-check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/installed-test: .venv/installed pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

.venv/installed-check: .venv/installed-test
	$(BIN)/python -m pip install --quiet -e '.[check]'
	touch $@

.venv/installed-docs: .venv/installed-test
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

# torchvision asks for the torch that belongs to it; git ignores the folder.
.venv-peers/installed:
	$(PYTHON) -m venv .venv-peers
	echo '*' > .venv-peers/.gitignore
	.venv-peers/bin/python -m pip install --quiet 'torchvision>=0.29' numpy
	touch $@

clean:
	rm -rf .venv .venv-peers .jax_cache runs/demo

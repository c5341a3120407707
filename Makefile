# Everything here sets itself up in .venv; see README.md.
VENV ?= .venv
PYTHON ?= python3
OUT ?= out/demo
PIP := $(VENV)/bin/python -m pip
# The CPU build of torch is a tenth of the CUDA one. Its index is asked first and, where it is out of
# reach, plain PyPI serves the same version. `make demo TORCH_INDEX=` leaves it out (CUDA machines).
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo test test-numpy1 check clean
help:
	@echo 'make demo   set up, then one pour through the live ROS 2 nodes and a report'
	@echo 'make test   set up, then all tests'
	@echo 'make test-numpy1  the tests of nodes, bags, geometry and perception again, on numpy 1'
	@echo 'make check  style and types'
	@echo 'make clean  remove .venv and results'

demo: $(VENV)/ready
	$(VENV)/bin/pourit demo --out $(OUT)

test: $(VENV)/ready-test check
	$(VENV)/bin/python -m pytest

# numpy 1 and OpenCV 4, as Ubuntu 22.04 and 24.04 have them, laid over .venv.
NUMPY1 := $(VENV)/numpy1
test-numpy1: $(VENV)/ready-test
	test -d $(NUMPY1) || $(PIP) install --quiet --no-deps --target $(NUMPY1) numpy==1.26.4 opencv-python-headless==4.11.0.86
	PYTHONPATH=$(NUMPY1) $(VENV)/bin/python -c 'import numpy; assert numpy.__version__ == "1.26.4"'
	PYTHONPATH=$(NUMPY1) $(VENV)/bin/python -m pytest $(wildcard $(addprefix test/test_, \
	  frames.py poses.py messages.py bags.py scenes.py pour_state.py pipeline*.py geometry*.py perception*.py nodes.py nodes_live.py))

check: $(VENV)/ready-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/ready: setup.py scripts/check_system.sh
	@sh scripts/check_system.sh $(PYTHON)
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	touch $(VENV)/COLCON_IGNORE
	$(PIP) install --quiet --upgrade pip 'setuptools>=64,<80' wheel
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || \
	  $(PIP) install --quiet $(TORCH) $(if $(TORCH_INDEX),--retries 1 --timeout 10 --extra-index-url $(TORCH_INDEX))
	PYTHONWARNINGS=ignore $(PIP) install --quiet --editable '.[ros]'
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	PYTHONWARNINGS=ignore $(PIP) install --quiet --editable '.[ros,test]'
	touch $@

clean:
	rm -rf $(VENV) out build install log *.egg-info

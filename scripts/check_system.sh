#!/bin/sh
# Says which system libraries are missing and which apt packages bring them. Usage: check_system.sh PYTHON
python=${1:-python3}
missing=
need() { missing="$missing $1"; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
  echo "pourit needs Python 3.10 or newer; '$python' is: $("$python" --version 2>&1)" >&2
  exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
libraries=$(/sbin/ldconfig -p 2>/dev/null || ldconfig -p 2>/dev/null)
for pair in libGL.so.1:libgl1 libgomp.so.1:libgomp1 libusb-1.0.so.0:libusb-1.0-0; do
  case "$libraries" in *"${pair%%:*}"*) ;; *) need "${pair##*:}" ;; esac
done
if [ -n "$missing" ]; then
  echo "Missing system packages. Install them, then run make again:" >&2
  echo "  sudo apt-get install -y$missing" >&2
  exit 1
fi

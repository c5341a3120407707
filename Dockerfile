# Commands and nodes on the CPU, with ROS 2 Jazzy from PyPI. docs/howto/docker.md says how to use it.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/pourit
ENV PATH=/opt/pourit/bin:$PATH
COPY . .
# Versions are those of setup.py.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[ros]'

FROM python:3.12-slim-bookworm
# Open3D and OpenMP want these; versions follow the base image.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends libgl1 libgomp1 libusb-1.0-0 libx11-6 \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --create-home --uid 1000 pourit
COPY --from=build /opt/pourit /opt/pourit
COPY config/fastdds_large_images.xml /etc/fastdds.xml
ENV PATH=/opt/pourit/bin:$PATH \
  PYTHONUNBUFFERED=1 \
  RMW_IMPLEMENTATION=rmw_fastrtps_cpp \
  FASTRTPS_DEFAULT_PROFILES_FILE=/etc/fastdds.xml
USER 1000
WORKDIR /data
CMD ["pourit", "--help"]

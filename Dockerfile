# syntax=docker/dockerfile:1
# hpo as an image: `docker build -t hpo .`, or with CUDA `docker build -t hpo:cuda --build-arg TORCH=cu126 .`
# The image runs the wheel in /opt/hpo; the sources stay in the first stage.

ARG PYTHON=3.12.11-slim-bookworm

FROM python:${PYTHON} AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON} AS install
# A build in PyTorch's own index: cpu, or a CUDA version such as cu126.
ARG TORCH=cpu
RUN python -m venv /opt/hpo
# In its own layer, so that a change to hpo does not download it again.
RUN /opt/hpo/bin/pip install --no-cache-dir --index-url "https://download.pytorch.org/whl/${TORCH}" \
    "torch>=2.11,<2.16" "torchvision>=0.26,<0.30"
COPY --from=wheel /wheels /wheels
RUN /opt/hpo/bin/pip install --no-cache-dir /wheels/hpo_babysitter-*.whl && /opt/hpo/bin/hpo --version

FROM python:${PYTHON}
RUN groupadd --gid 10001 hpo \
    && useradd --uid 10001 --gid hpo --create-home hpo \
    && install --directory --owner hpo --group hpo /var/lib/hpo
COPY --from=install /opt/hpo /opt/hpo
ENV PATH=/opt/hpo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HPO_DATA=/var/lib/hpo/data \
    HPO_CACHE=/var/lib/hpo/cache \
    HPO_CHECKPOINTS=/var/lib/hpo/checkpoints \
    HPO_ARTIFACTS=/var/lib/hpo/artifacts
VOLUME /var/lib/hpo
WORKDIR /home/hpo
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["hpo"]
CMD ["worker"]
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s CMD ["hpo", "workers", "--here"]

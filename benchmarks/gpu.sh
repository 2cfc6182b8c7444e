#!/usr/bin/env bash
# Correctness, speed beside torchvision, and a short training, on a machine with a GPU. Meant to
# take about ten minutes; not yet tried on a GPU.
#
#   benchmarks/gpu.sh            a Python with this project's requirements, jax for CUDA and torch
#   benchmarks/gpu.sh --small    the same on a CPU, with small images: whether it runs to its end
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
peer="${PEER_PYTHON:-$python}"
out="${OUT:-runs/gpu}"
mkdir -p "$out"
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # the peer needs memory, too
small=(); schedule=()
if [ "${1:-}" = --small ]; then
  small=(--small); schedule=(--optimizer.schedule.epochs 0.02)
fi

echo "== correctness"
"$python" -m benchmarks.gpu.correctness || echo "correctness: FAILED"

echo "== training: the preset shapes, then its evaluation"
"$python" train.py shapes --workdir "$out/shapes" --data.cache-dir "$out/data" "${schedule[@]}"
"$python" eval.py --workdir "$out/shapes" | tail -n 20

echo "== speed"
"$python" -m benchmarks.gpu --peer-python "$peer" --out "$out/speed.json" "${small[@]}"

#!/usr/bin/env bash
# Trains, evaluates and predicts on procedural shapes. Run again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")"
out=runs/demo
python=.venv/bin/python

if [ -e $out/predictions/results.json ]; then
  echo "The demo is done. Pictures: $out/predictions; numbers: $out/eval/val/metrics.json."
  echo "To run it again: rm -r $out"
  exit 0
fi
$python train.py shapes --workdir $out --data.cache-dir $out/data
$python eval.py --workdir $out
$python -m maskrcnn_jax.data.shapes --out $out/images --num-images 12
$python predict.py --workdir $out $out/images/val --out $out/predictions
echo "Pictures: $out/predictions"

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_second_signal_ends_a_run_at_once():
    program = (
        "import signal, time\n"
        "from maskrcnn_jax.training.interruption import Interruption\n"
        "from maskrcnn_jax.training.sharding import data_mesh\n"
        "with Interruption(data_mesh()) as interruption:\n"
        "    print(interruption.signal_number(), flush=True)\n"
        "    while not interruption.signal_number(): time.sleep(0.01)\n"
        "    print(interruption.signal_number(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "15\n"
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, message = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert time.monotonic() - start < 5
    assert "SIGTERM: saves after a step" in message

"""torchrun beside this process: its exit status, and the signals that reach it."""

import os
import signal
import sys
import threading

import pytest

from spacy_hetner.pretraining import launch
from spacy_hetner.pretraining.launch import run_torchrun


@pytest.fixture
def become(monkeypatch):
    """Run a text of Python in the place of torchrun."""

    def run(code):
        monkeypatch.setattr(launch, "_torchrun", lambda *arguments: [sys.executable, "-c", code])
        return run_torchrun([], processes=2, restarts=0)

    return run


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_told(become, status):
    assert become(f"raise SystemExit({status})") == status


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_signal_is_passed_on_and_told(become, tmp_path):
    path = tmp_path / "told"
    code = (
        "import signal, time, pathlib\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "def end(*_):\n"
        "    path.write_text('told')\n"
        "    raise SystemExit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "path.write_text('ready')\n"
        "time.sleep(600)\n"
    )

    def signal_when_ready():
        while not path.exists() or path.read_text() != "ready":
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=signal_when_ready, daemon=True)
    thread.start()
    assert become(code) is None
    assert path.read_text() == "told"
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_store_of_torchrun_is_not_shared(become, monkeypatch):
    monkeypatch.delenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", raising=False)
    code = "import os; raise SystemExit(os.environ['TORCH_DISABLE_SHARE_RDZV_TCP_STORE'] != '1')"
    assert become(code) == 0

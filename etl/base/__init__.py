"""What every package may use: settings, statuses, files, waiting, limits, masking, threads, processes."""

import signal
import sys
from pathlib import Path

# A script of ours still reads its modules: until it catches Ctrl-C (runtime/script.py), that ends it without a traceback.
if (
    Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent.parent
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, signal.SIG_DFL)

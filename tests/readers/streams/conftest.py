"""bench/, whose generator knows the truth about its captures, is not installed with the package."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    # Last: the package under test is the installed one, also in what other tests start.
    sys.path.append(ROOT)
